"""The one interface of a Stable Diffusion model: what everything above `bases/` sees."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from keras_booth.bases.conditioning import Conditions, check_text_encoders
from keras_booth.bases.networks.autoencoder import LOG_VARIANCE, AutoencoderConfig, build_decoder, build_image_encoder
from keras_booth.bases.networks.checks import check_merging
from keras_booth.bases.networks.corrections import GradientCheckpointing, SpatialTransformer
from keras_booth.bases.networks.text_encoder import TextEncoderConfig, build_text_encoder
from keras_booth.bases.networks.unet import SIZE_NUMBERS, UNetConfig, build_unet
from keras_booth.bases.parking import Parked
from keras_booth.bases.tokenizer import Tokenizer
from keras_booth.diffusion import RHOS, SAMPLERS, NoiseSchedule
from keras_booth.tools.annotations import Tensor
from keras_booth.tools.errors import InputError
from keras_booth.tools.files.typed_fields import check_types, fits, make
from keras_booth.tools.process.replicas import require_known_strategy
from keras_booth.tools.process.settings import channels_last, default_policy
from keras_booth.tools.wording import shown

# A picture of more takes attention over more latents than any machine has memory for.
MOST_PIXELS = 2048 * 2048
# Of the standard deviation of latents; the scales in use are 0.13 to 1.
LATENT_SCALES = 1e-4, 1e4
# Fields that earlier versions did not write, and those of them that are left out where they say nothing, so that a
# description stays what it was.
LEFT_OUT = ("text_encoder_2", "zeros_for_empty", "depths", "pooled_width", "size_features", "penultimate", "rho")
WRITTEN_LATER = ("added_tokens", "groups", *LEFT_OUT)


@dataclasses.dataclass(frozen=True)
class BaseConfig:
    """A description that a base can be rebuilt from, without its weights and its vocabulary.

    Args:
        name: str. The preset's name.
        image_size: (height, width) in pixels.
        text_encoder, unet, autoencoder, schedule: the configs of the parts.
        latent_scale: float. Latents of the autoencoder are multiplied by this before diffusion.
        sampling_steps: int. Default number of sampling steps.
        guidance_scale: float. Default guidance scale.
        sampler: str. Default sampler, one of `keras_booth.diffusion.SAMPLERS`.
        rho: float. Default exponent of Karras's noise levels: see `keras_booth.diffusion.Sampling`.
        text_encoder_2: the config of a second text encoder, whose embeddings stand beside the first one's; or `None`.
        zeros_for_empty: bool. Whether an empty negative prompt means embeddings of zeros
            (`force_zeros_for_empty_prompt` in diffusers).
    """

    name: str
    image_size: tuple[int, int]
    text_encoder: TextEncoderConfig = TextEncoderConfig()
    unet: UNetConfig = UNetConfig()
    autoencoder: AutoencoderConfig = AutoencoderConfig()
    schedule: NoiseSchedule = NoiseSchedule()
    latent_scale: float = 0.18215
    sampling_steps: int = 25
    guidance_scale: float = 7.5
    sampler: str = "dpmpp_2m"
    text_encoder_2: TextEncoderConfig | None = None
    zeros_for_empty: bool = False
    rho: float | None = None

    def __post_init__(self):
        size = self.image_size
        if isinstance(size, (int, list, tuple)):
            object.__setattr__(self, "image_size", (size,) * 2 if isinstance(size, int) else tuple(size))
        size, multiple = self.image_size, self.autoencoder.factor * self.unet.latent_multiple
        if not fits(size, tuple[int, ...]) or len(size) == 2:
            check_types(self)
        if len(size) != 2 or any(side < multiple or side % multiple for side in size):
            raise InputError(
                f"Pictures of the base {shown(self.name)} need a height and a width that are multiples of {multiple} "
                f"pixels. Received: image_size={shown(size)}"
            )
        if size[0] * size[1] > MOST_PIXELS:
            raise InputError(f"image_size must be of at most {MOST_PIXELS} pixels. Received: image_size={shown(size)}")
        self._check_numbers()

    def _check_numbers(self):
        """Refuse what no part alone can know to be wrong."""
        if not LATENT_SCALES[0] <= self.latent_scale <= LATENT_SCALES[1]:
            raise InputError(
                f"latent_scale (scaling_factor in diffusers) must be in {list(LATENT_SCALES)}. "
                f"Received: latent_scale={self.latent_scale!r}"
            )
        if not 1 <= self.sampling_steps <= self.schedule.steps:
            raise InputError(
                f"sampling_steps must be in [1, {self.schedule.steps}]. Received: sampling_steps={self.sampling_steps}"
            )
        if self.guidance_scale < 0:
            raise InputError(f"guidance_scale must be >= 0. Received: guidance_scale={self.guidance_scale}")
        if self.sampler not in SAMPLERS:
            raise InputError(f"sampler must be one of {tuple(SAMPLERS)}. Received: sampler={shown(self.sampler)}")
        if self.rho is not None and not RHOS[0] <= self.rho <= RHOS[1]:
            raise InputError(f"rho must be in {list(RHOS)}. Received: rho={self.rho!r}")
        check_text_encoders(self.text_encoders, self.unet)

    @property
    def text_encoders(self) -> dict[str, TextEncoderConfig]:
        """dict of the text encoders' configs by the names of their components."""
        second = {} if self.text_encoder_2 is None else {"text_encoder_2": self.text_encoder_2}
        return {"text_encoder": self.text_encoder} | second

    @property
    def token_shape(self) -> tuple[int, ...]:
        """Shape of a prompt's tokens: `(length,)`; or `(2, length)`, where two text encoders have each its own."""
        length = self.text_encoder.max_length
        return (length,) if self.text_encoder_2 is None else (2, length)

    @property
    def conditioning(self) -> dict[str, tuple[int, ...]]:
        """What the UNet is told of a picture beside its latents and its timestep: dict of shapes, without the batch's
        axis, by name. See `StableDiffusionBase.condition`."""
        found = {"context": (self.text_encoder.max_length, self.unet.context_width)}
        if self.unet.pooled_width:
            found |= {"pooled": (self.unet.pooled_width,), "sizes": (SIZE_NUMBERS,)}
        return found

    @property
    def latent_size(self) -> tuple[int, int]:
        """(height, width) of the latents."""
        return tuple(side // self.autoencoder.factor for side in self.image_size)

    def with_image_size(self, image_size: int | tuple[int, int]) -> BaseConfig:
        """The same base for pictures of another size."""
        return dataclasses.replace(self, image_size=image_size)

    def named(self, name: str) -> BaseConfig:
        """The same base under another name."""
        return dataclasses.replace(self, name=name)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-serializable dict for `from_dict`."""
        return described(self)

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> BaseConfig:
        """The inverse of `to_dict`.

        Raises:
            InputError: for a field that is missing, unknown or out of its range.
        """
        parts = {
            "text_encoder": TextEncoderConfig,
            "text_encoder_2": TextEncoderConfig,
            "unet": UNetConfig,
            "autoencoder": AutoencoderConfig,
            "schedule": NoiseSchedule,
        }
        fields = dict(config) if isinstance(config, dict) else config
        if isinstance(fields, dict):
            for name, part in parts.items():
                if name in fields:
                    fields[name] = make(part, fields[name], name, WRITTEN_LATER)
        made = make(cls, fields, "base", WRITTEN_LATER)
        if made.unet.latent_channels != made.autoencoder.latent_channels:
            raise InputError(
                f"The latent channels of UNet and autoencoder must be the same. "
                f"Received: {made.unet.latent_channels} and {made.autoencoder.latent_channels}"
            )
        return made


def described(config: Any) -> dict[str, Any]:
    """A dataclass of settings as a dict, and those in it; without the fields of `LEFT_OUT` that say what they say by
    default."""
    return {
        field.name: described(value) if dataclasses.is_dataclass(value) else value
        for field in dataclasses.fields(config)
        for value in [getattr(config, field.name)]
        if field.name not in LEFT_OUT or value != field.default
    }


@contextlib.contextmanager
def global_policy(policy: str | keras.DTypePolicy) -> Iterator[None]:
    """KerasCV's blocks give their sublayers no dtype: only the global policy while they are built counts."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


class StableDiffusionBase(Conditions):
    """Tokenizer, text encoders, UNet, image encoder, decoder and noise schedule of one model.

    Args:
        config: `BaseConfig`.
        tokenizer: `Tokenizer`, or `None` for a base that gets it later (a model being loaded).
        dtype: dtype policy of the text encoders and the UNet; `None` for `default_policy`. The autoencoder's weights
            are always float32, and so are its computations: in float16 Stable Diffusion's overflow. With bfloat16,
            whose range is float32's, the decoder computes in that, but for bases with two text encoders.

    Attributes:
        away: tuple of str, the components that are parked.
        merged_tokens: (ratio, levels), as `merge_tokens` was given; (0.0, 0) where nothing is merged.
        fine_tuned: bool. Whether its weights come from a model that was fine-tuned here, so that it is no original.
        source: str, what the weights come from, as a sentence about them names it.
    """

    def __init__(self, config: BaseConfig, tokenizer: Tokenizer | None = None, dtype: str | None = None):
        require_known_strategy()
        self.config = config
        self.tokenizer = tokenizer
        self.schedule = config.schedule
        self.merged_tokens = (0.0, 0)
        self.fine_tuned = False
        self.source = config.name
        self._parked, self.away = None, ()
        with channels_last(), global_policy(dtype or default_policy()):
            for name, part in config.text_encoders.items():
                setattr(self, name, build_text_encoder(part, name))
            self.unet = build_unet(config.unet, config.latent_size, config.text_encoder.max_length)
        with channels_last(), global_policy("float32"):
            self.image_encoder = build_image_encoder(config.autoencoder)
        half = keras.dtype_policies.get(dtype or default_policy()).compute_dtype == "bfloat16"
        half = half and config.text_encoder_2 is None
        with channels_last(), global_policy("mixed_bfloat16" if half else "float32"):
            self.decoder = build_decoder(config.autoencoder)

    @property
    def tokenizer(self) -> Tokenizer:
        """`Tokenizer`.

        Raises:
            InputError: if the base has none: it was made of a config, which does not hold the vocabulary.
        """
        if self._tokenizer is None:
            raise InputError(
                "The model has no vocabulary, which a config does not hold: open the `.keras` file, or set "
                f"`base.tokenizer` to that of another model. Received: a model of the config of {self.config.name!r}"
            )
        return self._tokenizer

    @tokenizer.setter
    def tokenizer(self, tokenizer: Tokenizer | None):
        self._tokenizer, self._tokenizer_2, second = tokenizer, None, self.config.text_encoder_2
        if tokenizer is not None and second is not None:
            self._tokenizer_2 = Tokenizer(
                tokenizer.vocabulary, second.max_length, second.padding, second.added_tokens, quiet=True
            )

    @property
    def tokenizers(self) -> dict[str, Tokenizer]:
        """dict of `Tokenizer` by the names of the text encoders. They differ in what fills short prompts, and in added
        tokens."""
        return dict(zip(self.config.text_encoders, (self.tokenizer, self._tokenizer_2), strict=False))

    @property
    def has_tokenizer(self) -> bool:
        """bool."""
        return self._tokenizer is not None

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the latents of one picture."""
        return (*self.config.latent_size, self.config.unet.latent_channels)

    @property
    def components(self) -> dict[str, keras.Model]:
        """dict of the `keras.Model`s by name: `"text_encoder"`, by choice `"text_encoder_2"`, `"unet"`,
        `"image_encoder"` and `"decoder"`."""
        return {name: getattr(self, name) for name in (*self.config.text_encoders, "unet", "image_encoder", "decoder")}

    @property
    def text_encoders(self) -> dict[str, keras.Model]:
        """dict of the text encoders among `components`."""
        return {name: getattr(self, name) for name in self.config.text_encoders}

    def park(self, *names: str) -> None:
        """Have components that are not trained wait in a file; `present` brings them back for a while.

        Args:
            *names: of `components`. None for all to come back to stay.
        """
        if self._parked is not None:
            self._parked.come_back()
        self._parked = Parked([self.components[name] for name in names]) if names else None
        self.away = names

    @contextlib.contextmanager
    def present(self) -> Iterator[None]:
        """All components in memory for a while."""
        parked, self._parked = self._parked, None
        if parked is not None:
            parked.come_back()
        try:
            yield
        finally:
            if parked is not None:
                parked.leave()
                self._parked = parked

    def checkpoint_gradients(self, wanted: bool = True) -> None:
        """Have the blocks of UNet and text encoders keep their inputs only, and compute the rest again in the backward
        pass: less memory, more time, the same gradients. Takes effect where a step is compiled afterwards."""
        for model in (self.unet, *self.text_encoders.values()):
            for layer in model.layers:
                if isinstance(layer, GradientCheckpointing):
                    layer.forgets = bool(wanted)

    def merge_tokens(self, ratio: float, levels: int = 1) -> None:
        """Have the UNet's self-attention see similar tokens as one (ToMe-SD, arXiv:2303.17604): fewer scores to compute
        and to keep, and other pictures, the more so the more is merged. Weights stay as they are; the setting is not
        saved with them (`DreamBooth` saves it). Takes effect where a step or a sampler is compiled afterwards.

        Args:
            ratio: float in `[0, 0.75)`. Share of the tokens that go away; 0 for none.
            levels: int. On how many levels of the UNet, from the highest resolution down; the first has most tokens.

        Raises:
            InputError: for a ratio or levels out of range, or levels without attention.
        """
        check_merging(ratio, levels, self.config.unet.heads)
        for layer in self.unet.layers:
            if isinstance(layer, SpatialTransformer):
                # Each level has half the side of the one above.
                chosen = self.config.latent_size[0] // layer.size[0] < 2**levels
                layer.merge_tokens(ratio if chosen else 0)
        self.merged_tokens = (float(ratio), levels) if ratio else (0.0, 0)

    def moments(self, pictures: Tensor) -> Tensor:
        """Pictures -> moments of the posterior, unscaled.

        Args:
            pictures: float `(batch, H, W, 3)` in `[-1, 1]`.

        Returns:
            float32 `(batch, h, w, 2 * channels)`: mean, then log-variance.
        """
        return self.image_encoder(pictures, training=False)

    def sample_posterior(self, moments: Tensor, noise: Tensor | None = None) -> Tensor:
        """Moments -> scaled latents.

        Args:
            moments: float32 `(batch, h, w, 2 * channels)`.
            noise: float array of the shape of the latents, standard normal, to sample from the posterior; `None` for
                its mean.

        Returns:
            float32 `(batch, *latent_shape)`.
        """
        mean, log_variance = ops.split(moments, 2, axis=-1)
        if noise is not None:
            mean = mean + ops.exp(0.5 * ops.clip(log_variance, *LOG_VARIANCE)) * noise
        return mean * self.config.latent_scale

    def moments_of(self, latents: Tensor) -> Tensor:
        """Scaled latents -> moments of a posterior that is nothing but them: the inverse of `sample_posterior`.

        Args:
            latents: float32 `(batch, *latent_shape)`.

        Returns:
            float32 `(batch, h, w, 2 * channels)`. The log-variance is the smallest that is not clipped, a standard
            deviation of 3e-7.

        Raises:
            InputError: for latents of another shape than the base's.
        """
        shape = tuple(latents.shape)
        if shape[1:] != self.latent_shape:
            raise InputError(
                f"`latents` must be of shape (batch, {', '.join(map(str, self.latent_shape))}): those of another base "
                f"do not fit, take its pictures alone. Received: latents of shape {shape}"
            )
        mean = latents / self.config.latent_scale
        return ops.concatenate([mean, ops.full_like(mean, LOG_VARIANCE[0])], axis=-1)

    def encode(self, pictures: Tensor, noise: Tensor | None = None) -> Tensor:
        """Pictures -> scaled latents: `sample_posterior` of `moments`."""
        return self.sample_posterior(self.moments(pictures), noise)

    def decode(self, latents: Tensor) -> Tensor:
        """Scaled latents -> float32 pictures `(batch, H, W, 3)` in `[-1, 1]`."""
        pictures = self.decoder(latents / self.config.latent_scale, training=False)
        return ops.clip(ops.cast(pictures, "float32"), -1.0, 1.0)
