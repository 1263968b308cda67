"""DreamBooth as a `keras.Model`: `compile`, `fit`, `generate`, `save`."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops
from keras.optimizers import LossScaleOptimizer
from numpy.typing import ArrayLike

from keras_booth.bases import (
    BaseRequest,
    StableDiffusionBase,
    TextToImage,
    export_base,
    load_base,
    matrices_left_out,
)
from keras_booth.diffusion import snr_weights
from keras_booth.dreambooth.archived import Archived
from keras_booth.dreambooth.batches import Batches
from keras_booth.dreambooth.compiling import check_number, check_prior_target, check_trainable, refuse_unused
from keras_booth.dreambooth.drawing import Draws
from keras_booth.dreambooth.history import History
from keras_booth.dreambooth.lora.adapters import LoraConfig
from keras_booth.dreambooth.lora.methods import Adapted
from keras_booth.dreambooth.loss import prior_preservation_loss, squared_error
from keras_booth.dreambooth.optimizers.assembly import assemble
from keras_booth.dreambooth.optimizers.ending import steps_of
from keras_booth.dreambooth.optimizers.rates import SlowGroup
from keras_booth.dreambooth.parts import Parts
from keras_booth.dreambooth.subject import Fixed, Subject, check_names
from keras_booth.tools.annotations import FilePath, Prompts, Tensor
from keras_booth.tools.errors import InputError
from keras_booth.tools.process.machine import prefers_jit
from keras_booth.tools.process.replicas import of_batch, placed, replica_count, scope_of
from keras_booth.tools.process.settings import default_policy
from keras_booth.tools.seeds import chosen_seed


@keras.saving.register_keras_serializable(package="keras_booth")
class DreamBooth(Subject, Adapted, Draws, History, Batches, Archived, keras.Model):
    """Fine-tunes a Stable Diffusion base on a few photographs of one subject (DreamBooth, arXiv:2208.12242).

    Trains the UNet, and by choice the text encoder; the autoencoder is frozen, and its weights are always float32. The
    objective is

        L = E ||e(z_t, c) - target||^2 + prior_loss_weight * E ||e(z'_t, c') - target'||^2

    over instance photographs with the prompt c and class images with the prompt c'. Either target is what was added to
    the picture, or by choice target' is what the base predicts; see `compile`.

    Args:
        base: `StableDiffusionBase`.
        identifier: str. The rare token that stands for the subject.
        class_noun: str. What the subject is: `"dog"`.
        instance_prompt: str. `None` for `"a photo of {identifier} {class_noun}"`.
        class_prompt: str. `None` for `"a photo of a {class_noun}"`.
        train_text_encoder: bool.
        lora: `LoraConfig`, to train low-rank matrices instead of the weights; see `add_lora`. `None` for the weights.
        seed: int >= 0. Seed of noise and timesteps in training; its state is saved with the model. `None` for any,
            which is logged.
        dtype: dtype policy of text encoder and UNet; must be the base's. `None` for that.

    Raises:
        InputError: for an empty identifier or class, or one that equals the other.

    Example:

    ```python
    booth = keras_booth.DreamBooth.from_preset("tiny_world", identifier="sks", class_noun="dog")
    data = keras_booth.data.photo_dataset("photos/orange_dog", booth.class_images(count=200), booth, batch_size=2)
    booth.compile(optimizer=keras.optimizers.AdamW(5e-6, global_clipnorm=1.0), prior_loss_weight=1.0)
    booth.fit(data, epochs=4)
    pictures = booth.generate("a photo of sks dog in the snow", count=4)
    booth.save("dog.keras")
    ```
    """

    seed = Fixed("make a new model with it")
    train_text_encoder = Fixed("make a new model with it")
    prior_loss_weight = Fixed("call `compile` again with it")
    prior_target = Fixed("call `compile` again with it")
    min_snr_gamma = Fixed("call `compile` again with it")
    noise_offset = Fixed("call `compile` again with it")
    text_encoder_rate = Fixed("call `compile` again with it")
    text_encoder_2_rate = Fixed("call `compile` again with it")
    text_encoder_until = Fixed("call `compile` again with it")
    gradient_checkpointing = Fixed("call `compile` again with it")

    # === Construction ===

    def __init__(
        self,
        base: StableDiffusionBase,
        *,
        identifier: str = "sks",
        class_noun: str = "dog",
        instance_prompt: str | None = None,
        class_prompt: str | None = None,
        train_text_encoder: bool = False,
        lora: LoraConfig | dict[str, tuple[int, float]] | None = None,
        seed: int | None = 0,
        dtype: Any = None,
        **kwargs: Any,
    ):
        own = base.unet.dtype_policy.name
        if dtype is not None and keras.dtype_policies.get(dtype).name != own:
            raise InputError(f"`dtype` must be the base's, {own!r}, or None. Received: dtype={dtype!r}")
        # Without autocast: the float32 autoencoder must get float32 pictures under any policy.
        super().__init__(dtype=own, autocast=False, **kwargs)
        self._parts = Parts(base, TextToImage(base))
        self._name(identifier, class_noun, instance_prompt, class_prompt)
        seed = chosen_seed(seed, below=2**31)
        self._parts.fixed |= {"seed": seed, "train_text_encoder": bool(train_text_encoder)}
        self._parts.fixed |= {"prior_loss_weight": 1.0, "prior_target": "images"}
        self._parts.fixed |= {"min_snr_gamma": None, "noise_offset": 0.0}
        self._parts.fixed |= {"text_encoder_rate": 1.0, "text_encoder_2_rate": None, "text_encoder_until": None}
        for name, part in base.components.items():
            setattr(self, name, part)
        base.train_text_encoders(self.train_text_encoder)
        self.image_encoder.trainable = self.decoder.trainable = False
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.instance_tracker = keras.metrics.Mean(name="instance_loss")
        self.prior_tracker = keras.metrics.Mean(name="prior_loss")
        # Every part is built, and nothing else here has weights.
        self.built = True
        if lora is not None:
            self.add_lora(lora)

    @classmethod
    def from_preset(
        cls,
        preset: FilePath,
        *,
        weights: str | None = "pretrained",
        image_size: int | tuple[int, int] | None = None,
        dtype: Any = None,
        vocabulary: FilePath | None = None,
        prediction_type: str | None = None,
        zero_terminal_snr: bool = False,
        merge_tokens: float = 0.0,
        vae: FilePath | None = None,
        seed: int | None = 0,
        **kwargs: Any,
    ) -> DreamBooth:
        """Start from a base.

        Args:
            preset: str. `"tiny_world"` or another of `keras_booth.bases.PRESETS`; or the path of a folder in
                diffusers' format; or of a `.safetensors` file in the original layout; or of a `.keras` file, to train
                on from a saved model; or `"hf://owner/name"` or `"hf://owner/name/file.safetensors"`.
            weights: `"pretrained"`, or `None` for random ones.
            image_size: int or (height, width) in pixels; `None` for the base's own.
            dtype: dtype policy of text encoder and UNet, e.g. `"mixed_bfloat16"`; `None` for the global one. With
                bfloat16 the decoder, too, computes in it. For LoRA and for drawing `"bfloat16"` and `"float16"`
                compute the same in half the memory: the frozen weights are kept in half precision, too.
            vocabulary: path of a gzipped BPE merge list; `None` for the base's own.
            prediction_type: `"epsilon"` or `"v_prediction"`, where a file does not say it; `None` for the base's own.
            zero_terminal_snr: bool. Whether to rescale the noise schedule so that its last timestep is noise alone
                (arXiv:2305.08891), for bases that predict v: very dark and very bright pictures become possible.
            merge_tokens: float in `[0, 0.75)`. Share of the UNet's tokens that its self-attention merges, in training
                and drawing; see `StableDiffusionBase.merge_tokens`.
            vae: path or hub address of an autoencoder that takes the place of the base's, such as vae-ft-mse: a folder
                in diffusers' format, or a `.safetensors` file; `None` for the base's own.
            seed: int >= 0; `None` for any, which is logged.
            **kwargs: see `DreamBooth`.
        """
        check_names(kwargs.get("identifier", "sks"), kwargs.get("class_noun", "dog"))
        seed = chosen_seed(seed, below=2**31)
        dtype = keras.dtype_policies.get(dtype or default_policy()).name
        request = BaseRequest(
            preset=preset,
            weights=weights,
            image_size=image_size,
            dtype=dtype,
            vocabulary=vocabulary,
            prediction_type=prediction_type,
            zero_terminal_snr=zero_terminal_snr,
            merge_tokens=merge_tokens,
            vae=vae,
            seed=seed if weights is None else None,
        )
        base = load_base(request)
        return cls(base, seed=seed, dtype=dtype, **kwargs)

    @property
    def base(self) -> StableDiffusionBase:
        """The `StableDiffusionBase` whose parts are trained."""
        return self._parts.base

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) of the pictures, in pixels."""
        return self.base.config.image_size

    def tokenize(self, prompts: Prompts) -> np.ndarray:
        """A text or list of texts -> int32 `(len(prompts), length)`, or `(len(prompts), 2, length)` where two text
        encoders have each its own."""
        return self.base.tokenize(prompts)

    def encode_moments(self, images: ArrayLike) -> np.ndarray:
        """Send pictures through the image encoder before training.

        Args:
            images: float32 array `(batch, H, W, 3)` in `[-1, 1]`.

        Returns:
            float32 array `(batch, h, w, 2 * channels)`, for a batch's `moments`.
        """
        with self.base.present():
            return self._parts.text_to_image.moments(images)

    def moments_of(self, latents: ArrayLike) -> np.ndarray:
        """What stands for pictures whose latents are known, such as class images, in place of `encode_moments`.

        Args:
            latents: float32 array `(batch, h, w, channels)`, scaled.

        Returns:
            float32 array `(batch, h, w, 2 * channels)`, for a batch's `moments`: of a posterior that is the latents
            and nothing else.

        Raises:
            InputError: for latents of another shape than the model's.
        """
        return ops.convert_to_numpy(self.base.moments_of(placed(np.asarray(latents, "float32"))))

    def encode_text(self, tokens: ArrayLike) -> dict[str, np.ndarray]:
        """Send prompts through text encoders that are not trained.

        Args:
            tokens: int32 array, as `tokenize` makes it.

        Returns:
            dict of float32 arrays that take the place of a batch's `tokens`: `context`, `(batch, length, width)`; and
            `pooled`, `(batch, width)`, where the base has it.
        """
        if self.trains_text:
            raise InputError("The text encoder is trained, so its output cannot be computed before.")
        with self.base.present():
            return self._parts.text_to_image.condition(tokens)

    @property
    def sizes_of(self) -> Callable[..., np.ndarray] | None:
        """What makes a batch's `sizes` (`StableDiffusionBase.sizes_of`); `None` where the UNet is told of none."""
        return self.base.sizes_of if "sizes" in self.base.config.conditioning else None

    @property
    def trains_text(self) -> bool:
        """Whether anything of a text encoder is trained: weights, or LoRA beside them."""
        return any(encoder.trainable_variables for encoder in self.base.text_encoders.values())

    def park_encoders(self) -> None:
        """Have autoencoder and text encoders leave memory until something is drawn, encoded or saved.

        For training on batches with `moments` and `context`, as `photo_dataset` makes them with `cache_latents` and
        `cache_text`. Text encoders that are trained stay. Does nothing on JAX, where all weights go through each step,
        and on several devices.
        """
        if keras.backend.backend() == "tensorflow" and replica_count(self.distribute_strategy) == 1:
            frozen = () if self.trains_text else self.base.text_encoders
            self.base.park("image_encoder", "decoder", *frozen)

    # === Training ===

    def compile(
        self,
        optimizer: str | dict[str, Any] | keras.optimizers.Optimizer = "adamw",
        prior_loss_weight: float = 1.0,
        min_snr_gamma: float | None = None,
        noise_offset: float = 0.0,
        text_encoder_rate: float = 1.0,
        text_encoder_2_rate: float | None = None,
        text_encoder_until: int | None = None,
        gradient_checkpointing: bool = False,
        jit_compile: bool | str | None = None,
        *,
        prior_target: str = "images",
        **kwargs: Any,
    ) -> None:
        """Configure training.

        Args:
            optimizer: `keras.optimizers.Optimizer`, name or config. With `gradient_accumulation_steps` the gradients
                that are left over at the end of a `fit` change the weights, too.
            prior_loss_weight: float >= 0, lambda in the objective. 0 is training without prior preservation.
            min_snr_gamma: float > 0. Weighs each sample of both terms so that an error of z_0 counts
                min(SNR, gamma) (arXiv:2303.09556); `None` for the paper's unweighted objective.
            noise_offset: float >= 0. Standard deviation of noise that is the same all over a channel, which teaches
                very dark and very bright pictures; 0.1 is a usual value.
            text_encoder_rate: float >= 0. The text encoder's learning rate as a share of the optimizer's.
            text_encoder_2_rate: float >= 0. The same of a second text encoder; `None` for the first one's.
            text_encoder_until: int. Step after which text encoders stay as they are; `None` to train them to the end.
            gradient_checkpointing: bool. Whether the blocks' inner values are computed again in the backward pass
                instead of kept: less memory, more time.
            jit_compile: bool or `"auto"`; `None` for the faster one: no XLA on TensorFlow without a GPU.
            prior_target: `"images"` or `"base"`. What the prediction for a class image is held against: what was added
                to the image, as in the paper; or what the model without its LoRA predicts, so that the class stays what
                it was with every flaw and all variety of the base. The prior loss then begins at 0. Takes one more
                forward pass, and no memory for weights.
            **kwargs: `run_eagerly`, `steps_per_execution` and `auto_scale_loss` of `keras.Model.compile`.

        Raises:
            InputError: for an argument out of range, one that has no effect here, or a model with nothing to train.
        """
        settings = {
            "prior_loss_weight": check_number("prior_loss_weight", prior_loss_weight),
            "prior_target": check_prior_target(self, prior_target),
            "min_snr_gamma": check_number("min_snr_gamma", min_snr_gamma, above=0, optional=True),
            "noise_offset": check_number("noise_offset", noise_offset),
            "text_encoder_rate": check_number("text_encoder_rate", text_encoder_rate),
            "text_encoder_2_rate": check_number("text_encoder_2_rate", text_encoder_2_rate, optional=True),
            "text_encoder_until": text_encoder_until,
            "gradient_checkpointing": bool(gradient_checkpointing),
        }
        refuse_unused(kwargs)
        check_trainable(self)
        self._parts.fixed |= settings
        self.count_steps()
        with scope_of(self):
            super().compile(
                optimizer=optimizer,
                jit_compile=("auto" if prefers_jit() else False) if jit_compile is None else jit_compile,
                **kwargs,
            )
            self.base.checkpoint_gradients(self.gradient_checkpointing)
            fused = keras.backend.backend() == "tensorflow" and not self.jit_compile
            self.optimizer = assemble(self._scaled(self.optimizer), fused=fused, slow=self._slow_group())
            # Variables made inside of the first step would have TensorFlow trace it twice.
            self.optimizer.build(self.trainable_variables)
        self._parts.past.counted = steps_of(self.optimizer)
        self._parts.compiled_for = {id(variable) for variable in self.trainable_variables}

    def _scaled(self, optimizer):
        """The optimizer with a scaled loss in pure float16, too: Keras does it under mixed_float16 alone."""
        if self.dtype_policy.name != "float16" or isinstance(optimizer, LossScaleOptimizer):
            return optimizer
        return LossScaleOptimizer(optimizer, name="loss_scale_optimizer")

    def _slow_group(self):
        """What the text encoders' own learning rates hold for; `None` if they have none."""
        second, until = self.text_encoder_2_rate, self.text_encoder_until
        rates = self.text_encoder_rate, self.text_encoder_rate if second is None else second
        factors = {
            variable.path: rate
            for encoder, rate in zip(self.base.text_encoders.values(), rates, strict=False)
            for variable in encoder.trainable_variables
        }
        return None if until is None and set(factors.values()) <= {1.0} else SlowGroup(factors, until)

    def call(self, batch: Mapping[str, Tensor], training: bool = False) -> dict[str, Tensor]:
        """Noise the pictures of a batch and predict what was added.

        Args:
            batch: dict of `images` float `(batch, H, W, 3)` in `[-1, 1]`, or of what `encode_moments` made of them as
                `moments`; and of `tokens`, int, as `tokenize` makes them, or of what `encode_text` made of them. Where
                the base takes them, by choice of `sizes`, float `(batch, 6)`: see `StableDiffusionBase.sizes_of`. To
                fix what is otherwise drawn at random it may hold `posterior_noise` and `noise`, float arrays of the
                latents' shape, and `timesteps`, int `(batch,)`. `is_prior`, bool `(batch,)`, is for
                `prior_target="base"`.

        Returns:
            dict of `prediction` and `target`, float32 arrays of the latents' shape, and `timesteps`.
        """
        base = self.base
        size = ops.shape(batch["moments" if "moments" in batch else "images"])[0]
        shape = base.latent_shape

        def drawn(*rest):
            return of_batch(lambda rows: keras.random.normal((rows, *rest), seed=self.seed_generator), size)

        def normal(key):
            return batch[key] if key in batch else drawn(*shape)

        moments = batch["moments"] if "moments" in batch else base.moments(ops.cast(batch["images"], "float32"))
        latents = base.sample_posterior(moments, normal("posterior_noise"))
        noise = normal("noise")
        if self.noise_offset and "noise" not in batch:
            noise = noise + self.noise_offset * drawn(1, 1, shape[-1])
        if "timesteps" in batch:
            timesteps = batch["timesteps"]
        else:
            steps = base.schedule.steps
            timesteps = of_batch(lambda rows: keras.random.randint((rows,), 0, steps, seed=self.seed_generator), size)
        noisy = base.schedule.add_noise(latents, noise, timesteps)
        target = base.schedule.target(latents, noise, timesteps)
        if self.prior_target == "base" and "is_prior" in batch:
            of_base = ops.stop_gradient(self._base_prediction(noisy, timesteps, batch))
            target = ops.where(ops.reshape(batch["is_prior"], (-1, 1, 1, 1)), of_base, target)
        return {
            "prediction": base.denoise(noisy, timesteps, self._conditioning(batch, training), training),
            "target": target,
            "timesteps": timesteps,
        }

    def _conditioning(self, batch, training):
        """What the UNet is told of the pictures of a batch."""
        given = {name: batch[name] for name in self.base.config.conditioning if name in batch}
        return given if "context" in given else given | self.base.condition(batch["tokens"], training)

    def _base_prediction(self, noisy, timesteps, batch):
        """What UNet and text encoders predict without LoRA."""
        with matrices_left_out():
            return self.base.denoise(noisy, timesteps, self._conditioning(batch, False), False)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """The objective of a batch, a float32 scalar; see `keras_booth.dreambooth.loss`."""
        losses = squared_error(y_pred["prediction"], y_pred["target"])
        if self.min_snr_gamma is not None:
            losses = losses * snr_weights(self.base.schedule, y_pred["timesteps"], self.min_snr_gamma)
        instance, prior = prior_preservation_loss(losses, x["is_prior"], x["sample_weight"])
        self.instance_tracker.update_state(instance)
        self.prior_tracker.update_state(prior)
        # Each device has its share of the objective, and their gradients are summed.
        return (instance + self.prior_loss_weight * prior) / replica_count()

    # === Saving ===

    def export_weights(self, output: FilePath, *, format: str = "diffusers", dtype: str = "float32") -> pathlib.Path:
        """Write the model for other programs.

        Args:
            output: path of a folder that does not exist yet or is empty, or of a `.safetensors` file.
            format: `"diffusers"`, a folder that `StableDiffusionPipeline.from_pretrained` opens; or `"safetensors"`,
                one file in the original layout, for ComfyUI and AUTOMATIC1111.
            dtype: `"float32"` or `"float16"`, in which the weights are stored.

        Returns:
            `Path` of what was written.

        Raises:
            InputError: for an unknown format or dtype, or a place that is taken or of the wrong kind.
        """
        added = self.adapters.added if self.adapters else None
        with self.base.present():
            return export_base(self.base, output, format=format, dtype=dtype, added=added, subjects=(self.subject,))
