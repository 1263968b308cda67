"""Text to pictures with a base."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_booth.bases.base import StableDiffusionBase
from keras_booth.diffusion import Sampling, follow, guided, make_plan
from keras_booth.tools.annotations import Tensor
from keras_booth.tools.errors import InputError
from keras_booth.tools.images import to_uint8
from keras_booth.tools.process.gradients import let_go_with
from keras_booth.tools.process.machine import prefers_jit
from keras_booth.tools.process.replicas import predicted, scope_of
from keras_booth.tools.prompts import prompt_list
from keras_booth.tools.seeds import is_natural

# Decoded at once; at 512 x 512 pixels the decoder's inner values take more memory than everything else.
DECODED_PIXELS = 512 * 512
NEGATIVE = "negative_"  # before the names of a negative prompt's conditioning
FRESH = 1  # a stream of random numbers, beside that of the beginning


@dataclasses.dataclass(frozen=True)
class DrawSettings:
    """How pictures follow a prompt.

    Args:
        sampling: `Sampling`.
        guidance_scale: float >= 0. 1 is no guidance, which takes half the time.
        guidance_rescale: float in `[0, 1]`, against overexposed pictures (arXiv:2305.08891, section 3.4).
        negative_prompt: str. What the guidance leads away from.
        strength: float in `(0, 1]`. Of pictures drawn over others: see `Sampling.left_out`.
    """

    sampling: Sampling
    guidance_scale: float = 7.5
    guidance_rescale: float = 0.0
    negative_prompt: str = ""
    strength: float = 1.0

    def __post_init__(self):
        if not isinstance(self.negative_prompt, str):
            raise InputError(f"`negative_prompt` must be a text. Received: negative_prompt={self.negative_prompt!r}")
        if not self.guidance_scale >= 0:
            raise InputError(f"`guidance_scale` must be >= 0. Received: guidance_scale={self.guidance_scale}")
        if not 0 <= self.guidance_rescale <= 1:
            raise InputError(
                f"`guidance_rescale` must be in [0, 1]. Received: guidance_rescale={self.guidance_rescale}"
            )
        if not 0 < self.strength <= 1:
            raise InputError(f"`strength` must be in (0, 1]. Received: strength={self.strength}")
        # Descriptions of 3 and 3.0 must be the same.
        for name in ("guidance_scale", "guidance_rescale", "strength"):
            object.__setattr__(self, name, float(getattr(self, name)))


class Compiled(keras.Model):
    """A function of arrays with a leading batch axis, which `on_batch` compiles on every backend.

    Args:
        function: callable. Dict of arrays -> array, or dict of arrays.
        parts: list of the `keras.Model`s that it calls. Their live weights are used; nothing is copied.
    """

    def __init__(self, function: Callable[[dict[str, Tensor]], Any], parts: Sequence[keras.Model]):
        super().__init__(dtype="float32", autocast=False)
        self.function = function
        # Tracked as layers, so that their variables reach JAX's compiled function as arguments.
        self.parts = parts
        self.built = True  # for `stateless_call`: the parts have their variables
        # Keras's own default is XLA, also where it is slower.
        self.jit_compile = prefers_jit()

    def call(self, inputs: dict[str, Tensor]) -> Any:
        """The function's value."""
        with let_go_with(self):
            return self.function(inputs)

    def on_batch(self, inputs: dict[str, np.ndarray]) -> Any:
        """The function's value in NumPy arrays; on several devices each computes its share of the rows."""
        return predicted(self, inputs)


def compiled(function: Callable[[dict[str, Tensor]], Any], *parts: keras.Model) -> Compiled:
    """A `Compiled` that calls parts of a base, on the devices that they were made for."""
    with scope_of(parts[0]):
        return Compiled(function, list(parts))


class TextToImage:
    """Draws with a base: text encoder, sampling loop and decoder, each compiled once for each shape.

    Args:
        base: `StableDiffusionBase`. Its live weights are used; nothing is copied.
    """

    def __init__(self, base: StableDiffusionBase):
        self.base = base
        self.clear()

    def clear(self) -> None:
        """Forget what was compiled, because what it calls has changed."""
        base = self.base
        self.loops = {}
        self.encoder = compiled(self._condition, *base.text_encoders.values())
        self.decoder = compiled(lambda inputs: base.decode(inputs["latents"]), base.decoder)
        self.image_encoder = compiled(lambda inputs: base.moments(inputs["pictures"]), base.image_encoder)

    def _condition(self, inputs):
        made = self.base.condition(inputs["tokens"])
        return {name: ops.cast(array, "float32") for name, array in made.items()}

    def condition(self, tokens: np.ndarray) -> dict[str, np.ndarray]:
        """Conditioning of tokens, all in one call: dict of float32 arrays; see `StableDiffusionBase.condition`."""
        if self.compiles_all:
            return self.encoder.on_batch({"tokens": np.asarray(tokens)})
        return {name: ops.convert_to_numpy(array) for name, array in self._condition({"tokens": tokens}).items()}

    def moments(self, pictures: np.ndarray) -> np.ndarray:
        """Moments of pictures, as float32 array; see `StableDiffusionBase.moments`."""
        if self.compiles_all:
            return self.image_encoder.on_batch({"pictures": np.asarray(pictures)})
        return ops.convert_to_numpy(self.base.moments(ops.convert_to_tensor(pictures)))

    @property
    def compiles_all(self) -> bool:
        """Whether what is computed once before training is compiled, too.

        On TensorFlow that takes longer than the computation. On JAX each operation by itself is a program to compile;
        and of programs that are not waited for, devices that share the weights may begin different ones, and wait for
        each other for ever.
        """
        return keras.backend.backend() == "jax"

    def encode(self, prompts: Sequence[str]) -> dict[str, np.ndarray]:
        """Conditioning of some prompts, each of which is encoded once, by itself.

        Args:
            prompts: sequence of str.

        Returns:
            dict of float32 arrays; see `StableDiffusionBase.condition`.
        """
        found = {
            prompt: self.encoder.on_batch({"tokens": self.base.tokenize([prompt])}) for prompt in dict.fromkeys(prompts)
        }
        names = next(iter(found.values()))
        return {name: np.concatenate([found[prompt][name] for prompt in prompts]) for name in names}

    def encode_negative(self, prompt: str) -> dict[str, np.ndarray]:
        """`encode` of what the guidance leads away from; zeros for an empty one, where the base was trained so."""
        made = self.encode([prompt])
        if prompt or not self.base.config.zeros_for_empty:
            return made
        return {name: np.zeros_like(array) for name, array in made.items()}

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Scaled latents -> uint8 pictures `(batch, H, W, 3)`, few at a time."""
        height, width = self.base.config.image_size
        slices = max(1, DECODED_PIXELS // (height * width))
        self._require_finite(latents, "latents")
        decoded = in_slices(self.decoder.on_batch, {"latents": latents}, min(slices, len(latents)))
        self._require_finite(decoded, "pictures")
        return to_uint8(decoded)

    def _require_finite(self, values, what):
        """Refuse to make black pictures of NaN."""
        if not np.isfinite(values).all():
            raise InputError(
                f"The model computes {what} that are NaN or infinite, of which no picture can be made: its weights, "
                f"its LoRA or the guidance scale are out of all bounds. Received: {self.base.source}"
            )

    def sample(self, inputs: dict[str, np.ndarray], settings: DrawSettings) -> np.ndarray:
        """The sampling loop on one batch; see `loop`."""
        inputs = inputs | self.planned(settings, len(inputs["noise"]), "clean" in inputs)
        if "fresh" in inputs:
            # From the first step that is taken, and to the last row of the table.
            fresh, rows = inputs["fresh"], inputs["table"].shape[1]
            fresh = fresh[:, fresh.shape[1] - int(inputs["steps"][0]) :]
            inputs["fresh"] = np.pad(fresh, ((0, 0), (0, rows - fresh.shape[1]), *[(0, 0)] * (fresh.ndim - 2)))
        key = (frozenset(inputs), self.base.merged_tokens)
        if key not in self.loops:
            self.loops[key] = compiled(self.loop, self.base.unet)
        return self.loops[key].on_batch(inputs)

    def planned(self, settings: DrawSettings, count: int, over: bool) -> dict[str, np.ndarray]:
        """The numbers of a `Plan` as arrays with a leading batch axis, along which nothing differs."""
        schedule, sampling = self.base.schedule, settings.sampling
        plan = make_plan(schedule, sampling, sampling.left_out(schedule, settings.strength) if over else 0, over)
        return {
            "table": np.repeat(plan.padded()[None], count, axis=0),
            "steps": np.full(count, len(plan.table), "int32"),
            "begin": np.full(count, plan.begin, "float32"),
            "end": np.full(count, plan.end, "float32"),
        }

    def loop(self, inputs: dict[str, Tensor]) -> Tensor:
        """The whole loop as a function of arrays, each with a leading batch axis; so one program serves all settings.

        Args:
            inputs: dict of `noise`; the conditioning of prompts, under its names; `table`, `steps`, `begin` and `end`,
                of a `Plan`; by choice the conditioning of the negative prompt, under its names behind `NEGATIVE`, with
                `guidance_scale` `(batch,)` and `guidance_rescale` `(batch,)`; `fresh`, noise `(batch, rows of the
                table, *latent_shape)`, standard normal; and `clean`, latents to draw over.

        Returns:
            float32 latents `(batch, *latent_shape)`.
        """
        base, fresh = self.base, inputs.get("fresh")

        given, negative = (
            {name: inputs[prefix + name] for name in base.config.conditioning if prefix + name in inputs}
            for prefix in ("", NEGATIVE)
        )
        weights = {
            name: ops.reshape(inputs[name], (-1, 1, 1, 1))
            for name in ("guidance_scale", "guidance_rescale")
            if name in inputs
        }
        led = guided(
            base.denoise,
            given,
            negative or None,
            weights.get("guidance_scale"),
            weights.get("guidance_rescale"),
        )
        return follow(
            led,
            inputs["noise"],
            base.schedule.prediction_type,
            *(inputs[name][0] for name in ("table", "steps", "begin", "end")),
            fresh=None if fresh is None else ops.transpose(fresh, (1, 0, 2, 3, 4)),
            clean=inputs.get("clean"),
        )

    def draw(
        self,
        prompts: Sequence[str],
        keys: Sequence[tuple[int, int]],
        settings: DrawSettings,
        *,
        clean: np.ndarray | None = None,
        batch_size: int = 8,
        on_batch: Callable[[int], object] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw one picture for each prompt.

        Args:
            prompts: list of str.
            keys: list of `(seed, index)`, one a picture: a picture is a function of its key and its prompt.
            settings: `DrawSettings`.
            clean: float32 array `(len(prompts), *latent_shape)`, scaled latents to draw over; `None` for none.
            batch_size: int. Pictures drawn at once; memory grows with it, and not with the number of pictures.
            on_batch: callable given the number of pictures finished, after each batch.

        Returns:
            `(pictures, latents)`: uint8 array `(len(prompts), H, W, 3)`, float32 array `(len(prompts), *latent_shape)`.
        """
        prompts = prompt_list(prompts, "prompts", empty=True)
        if not is_natural(batch_size) or batch_size < 1:
            raise InputError(f"`batch_size` must be >= 1. Received: batch_size={batch_size}")
        batch_size = min(batch_size, len(prompts))
        given, negative = self.encode(prompts), self.encode_negative(settings.negative_prompt)
        pictures, latents = [], []
        for first in range(0, len(prompts), batch_size):
            wanted = len(prompts[first : first + batch_size])
            # The last batch is filled up, so that one compiled program serves all.
            rows = np.minimum(np.arange(first, first + batch_size), len(prompts) - 1)
            inputs = self.inputs([keys[row] for row in rows], settings)
            inputs |= {name: array[rows] for name, array in given.items()}
            if "guidance_scale" in inputs:
                inputs |= {NEGATIVE + name: np.repeat(array, batch_size, axis=0) for name, array in negative.items()}
            if clean is not None:
                inputs["clean"] = clean[rows]
            drawn = self.sample(inputs, settings)
            pictures.append(self.decode(drawn)[:wanted])
            latents.append(drawn[:wanted])
            if on_batch is not None:
                on_batch(first + wanted)
        return np.concatenate(pictures), np.concatenate(latents)

    def inputs(self, keys: Sequence[tuple[int, int]], settings: DrawSettings) -> dict[str, np.ndarray]:
        """What is drawn at random for some pictures, and the guidance: dict of float32 arrays."""
        shape, steps = self.base.latent_shape, settings.sampling.steps
        # Each picture has a random stream of its own, so that it does not depend on the batch it is drawn in.
        inputs = {"noise": np.stack([np.random.default_rng(key).standard_normal(shape, "float32") for key in keys])}
        if settings.sampling.share:
            streams = [np.random.default_rng([*key, FRESH]) for key in keys]
            inputs["fresh"] = np.stack([rng.standard_normal((steps, *shape), "float32") for rng in streams])
        if settings.guidance_scale != 1:
            inputs["guidance_scale"] = np.full(len(keys), settings.guidance_scale, "float32")
            if settings.guidance_rescale:
                inputs["guidance_rescale"] = np.full(len(keys), settings.guidance_rescale, "float32")
        return inputs


def in_slices(function, arrays, size):
    """Call a function of a dict of arrays on so many rows at a time, the last ones filled up."""
    count = len(next(iter(arrays.values())))
    results = []
    for first in range(0, count, size):
        rows = np.minimum(np.arange(first, first + size), count - 1)
        results.append(function({name: array[rows] for name, array in arrays.items()}))
    return np.concatenate(results)[:count]
