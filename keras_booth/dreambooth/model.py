"""DreamBooth as a `keras.Model`: `compile`, `fit`, `generate`, `save`."""

import keras
from keras import ops
from keras.optimizers import LossScaleOptimizer

from keras_booth.bases import (
    BaseConfig,
    StableDiffusionBase,
    TextToImage,
    Tokenizer,
    export_base,
    load_base,
    prefers_jit,
)
from keras_booth.dreambooth.adapted import Adapted
from keras_booth.dreambooth.draws import Draws
from keras_booth.dreambooth.fused import fuse_updates
from keras_booth.dreambooth.loss import balance, min_snr_weights, prior_preservation_loss, squared_error
from keras_booth.dreambooth.rates import give_two_rates
from keras_booth.dreambooth.storage import VOCABULARY_FILE, save_archive
from keras_booth.tools.errors import InputError


class Untracked:
    """Holds objects that are views of the model, which Keras must neither save nor count as its layers."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)


@keras.saving.register_keras_serializable(package="keras_booth")
class DreamBooth(Adapted, Draws, keras.Model):
    """Fine-tunes a Stable Diffusion base on a few photographs of one subject (DreamBooth, arXiv:2208.12242).

    Trains the UNet, and by choice the text encoder; the autoencoder is frozen and always float32. The objective is

        L = E ||e(z_t, c) - target||^2 + prior_loss_weight * E ||e(z'_t, c') - target'||^2

    over instance photographs with the prompt c and class images with the prompt c'.

    Args:
        base: `StableDiffusionBase`.
        identifier: str. The rare token that stands for the subject.
        class_noun: str. What the subject is: `"dog"`.
        instance_prompt: str. `None` for `"a photo of {identifier} {class_noun}"`.
        class_prompt: str. `None` for `"a photo of a {class_noun}"`.
        train_text_encoder: bool.
        lora: `LoraConfig`, to train low-rank matrices instead of the weights; see `add_lora`. `None` for the weights.
        seed: int >= 0. Seed of noise and timesteps in training; its state is saved with the model.
        dtype: dtype policy of text encoder and UNet; must be the base's.

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

    # === Construction ===

    def __init__(
        self,
        base,
        *,
        identifier="sks",
        class_noun="dog",
        instance_prompt=None,
        class_prompt=None,
        train_text_encoder=False,
        lora=None,
        seed=0,
        dtype=None,
        **kwargs,
    ):
        # Without autocast: the float32 autoencoder must get float32 pictures under any policy.
        super().__init__(dtype=dtype, autocast=False, **kwargs)
        self.identifier, self.class_noun = check_names(identifier, class_noun)
        default = default_prompts(self.identifier, self.class_noun)
        self.instance_prompt, self.class_prompt = instance_prompt or default[0], class_prompt or default[1]
        self.train_text_encoder = bool(train_text_encoder)
        self.seed = seed
        self.prior_loss_weight, self.min_snr_gamma, self.noise_offset = 1.0, None, 0.0
        self.text_encoder_rate, self.text_encoder_until = 1.0, None
        self._views = Untracked(base=base, drawer=TextToImage(base), adapters=None)
        self.text_encoder = base.text_encoder
        self.unet = base.unet
        self.image_encoder = base.image_encoder
        self.decoder = base.decoder
        self.text_encoder.trainable = self.train_text_encoder
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
        preset,
        *,
        weights="pretrained",
        image_size=None,
        dtype=None,
        vocabulary=None,
        prediction_type=None,
        zero_terminal_snr=False,
        merge_tokens=0.0,
        seed=0,
        **kwargs,
    ):
        """Start from a base.

        Args:
            preset: str. `"tiny_world"`, `"stable_diffusion_1.4"`, `"stable_diffusion_2.1"`; or the path of a folder in
                diffusers' format; or of a `.safetensors` file in the original layout; or `"hf://owner/name"`.
            weights: `"pretrained"`, or `None` for random ones.
            image_size: int or (height, width) in pixels; `None` for the base's own.
            dtype: dtype policy of text encoder and UNet, e.g. `"mixed_bfloat16"`; `None` for the global one. For LoRA
                and for drawing `"bfloat16"` and `"float16"` compute the same in half the memory: the frozen weights
                are kept in half precision, too.
            vocabulary: path of a gzipped BPE merge list; `None` for the base's own.
            prediction_type: `"epsilon"` or `"v_prediction"`, where a file does not say it; `None` for the base's own.
            zero_terminal_snr: bool. Whether to rescale the noise schedule so that its last timestep is noise alone
                (arXiv:2305.08891), for bases that predict v: very dark and very bright pictures become possible.
            merge_tokens: float in `[0, 0.75)`. Share of the UNet's tokens that its self-attention merges, in training
                and drawing; see `StableDiffusionBase.merge_tokens`.
            seed: int >= 0.
            **kwargs: see `DreamBooth`.
        """
        check_names(kwargs.get("identifier", "sks"), kwargs.get("class_noun", "dog"))
        dtype = keras.dtype_policies.get(dtype or keras.config.dtype_policy()).name
        base_seed = seed if weights is None else None
        base = load_base(
            preset,
            weights=weights,
            image_size=image_size,
            dtype=dtype,
            vocabulary=vocabulary,
            prediction_type=prediction_type,
            zero_terminal_snr=zero_terminal_snr,
            seed=base_seed,
        )
        base.merge_tokens(merge_tokens)
        return cls(base, seed=seed, dtype=dtype, **kwargs)

    @property
    def base(self):
        """The `StableDiffusionBase` whose parts are trained."""
        return self._views.base

    @property
    def image_size(self):
        """(height, width) of the pictures, in pixels."""
        return self.base.config.image_size

    def tokenize(self, prompts):
        """list of str -> int32 `(len(prompts), length)`."""
        return self.base.tokenizer(prompts)

    def encode_moments(self, images):
        """Send pictures through the image encoder before training.

        Args:
            images: float32 array `(batch, H, W, 3)` in `[-1, 1]`.

        Returns:
            float32 array `(batch, h, w, 2 * channels)`, for a batch's `moments`.
        """
        with self.base.present():
            return ops.convert_to_numpy(self.base.moments(ops.convert_to_tensor(images)))

    def moments_of(self, latents):
        """What stands for pictures whose latents are known, such as class images, in place of `encode_moments`.

        Args:
            latents: float32 array `(batch, h, w, channels)`, scaled.

        Returns:
            float32 array `(batch, h, w, 2 * channels)`, for a batch's `moments`: of a posterior that is the latents
            and nothing else.

        Raises:
            InputError: for latents of another shape than the model's.
        """
        return ops.convert_to_numpy(self.base.moments_of(ops.convert_to_tensor(latents, "float32")))

    def encode_text(self, tokens):
        """Send prompts through a text encoder that is not trained.

        Args:
            tokens: int32 array `(batch, length)`.

        Returns:
            float32 array `(batch, length, width)`, for a batch's `context`.
        """
        if self.text_encoder.trainable_variables:
            raise InputError("The text encoder is trained, so its output cannot be computed before.")
        with self.base.present():
            return ops.convert_to_numpy(ops.cast(self.base.text_encoder(ops.convert_to_tensor(tokens)), "float32"))

    def park_encoders(self):
        """Have autoencoder and text encoder leave memory until something is drawn, encoded or saved.

        For training on batches with `moments` and `context`, as `photo_dataset` makes them with `cache_latents` and
        `cache_text`. A text encoder that is trained stays. Does nothing on JAX, where all weights go through each step.
        """
        if keras.backend.backend() == "tensorflow":
            frozen = [] if self.text_encoder.trainable_variables else ["text_encoder"]
            self.base.park("image_encoder", "decoder", *frozen)

    # === Training ===

    def compile(
        self,
        optimizer="adamw",
        prior_loss_weight=1.0,
        min_snr_gamma=None,
        noise_offset=0.0,
        text_encoder_rate=1.0,
        text_encoder_until=None,
        gradient_checkpointing=False,
        jit_compile=None,
        **kwargs,
    ):
        """Configure training.

        Args:
            optimizer: `keras.optimizers.Optimizer`, name or config.
            prior_loss_weight: float >= 0, lambda in the objective. 0 is training without prior preservation.
            min_snr_gamma: float > 0. Weighs each sample of both terms so that an error of z_0 counts
                min(SNR, gamma) (arXiv:2303.09556); `None` for the paper's unweighted objective.
            noise_offset: float >= 0. Standard deviation of noise that is the same all over a channel, which teaches
                very dark and very bright pictures; 0.1 is a usual value.
            text_encoder_rate: float >= 0. The text encoder's learning rate as a share of the optimizer's.
            text_encoder_until: int. Step after which the text encoder stays as it is; `None` to train it to the end.
            gradient_checkpointing: bool. Whether the blocks' inner values are computed again in the backward pass
                instead of kept: less memory, more time.
            jit_compile: bool or `"auto"`; `None` for the faster one: no XLA on TensorFlow without a GPU.
            **kwargs: further arguments of `keras.Model.compile`.
        """
        if not prior_loss_weight >= 0:
            raise InputError(f"`prior_loss_weight` must be >= 0. Received: prior_loss_weight={prior_loss_weight}")
        if min_snr_gamma is not None and not min_snr_gamma > 0:
            raise InputError(f"`min_snr_gamma` must be > 0. Received: min_snr_gamma={min_snr_gamma}")
        if not noise_offset >= 0:
            raise InputError(f"`noise_offset` must be >= 0. Received: noise_offset={noise_offset}")
        if not text_encoder_rate >= 0:
            raise InputError(f"`text_encoder_rate` must be >= 0. Received: text_encoder_rate={text_encoder_rate}")
        coarse = next((v for v in self.trainable_variables if v.dtype != "float32"), None)
        if coarse is not None:
            raise InputError(
                "Weights in half precision are too coarse to be trained: use LoRA, or "
                f"dtype='mixed_{self.dtype_policy.name}'. Received: dtype={self.dtype_policy.name!r}"
            )
        self.prior_loss_weight = float(prior_loss_weight)
        self.text_encoder_rate, self.text_encoder_until = float(text_encoder_rate), text_encoder_until
        self.min_snr_gamma = min_snr_gamma if min_snr_gamma is None else float(min_snr_gamma)
        self.noise_offset = float(noise_offset)
        super().compile(
            optimizer=optimizer,
            jit_compile=("auto" if prefers_jit() else False) if jit_compile is None else jit_compile,
            **kwargs,
        )
        if self.dtype_policy.name == "float16" and not isinstance(self.optimizer, LossScaleOptimizer):
            # Keras does it under mixed_float16 alone.
            self.optimizer = LossScaleOptimizer(self.optimizer, name="loss_scale_optimizer")
        self.gradient_checkpointing = bool(gradient_checkpointing)
        self.base.checkpoint_gradients(self.gradient_checkpointing)
        if keras.backend.backend() == "tensorflow" and not self.jit_compile:
            fuse_updates(self.optimizer)
        slow = self.text_encoder.trainable_variables
        if slow and (self.text_encoder_rate != 1.0 or text_encoder_until is not None):
            give_two_rates(self.optimizer, slow, self.text_encoder_rate, text_encoder_until)
        # Variables made inside of the first step would have TensorFlow trace it twice.
        self.optimizer.build(self.trainable_variables)

    def fit(self, x=None, *args, shuffle=False, **kwargs):
        """`keras.Model.fit`, without its warning that a dataset is not shuffled again: `photo_dataset` shuffles."""
        return super().fit(x, *args, shuffle=shuffle, **kwargs)

    def call(self, batch, training=False):
        """Noise the pictures of a batch and predict what was added.

        Args:
            batch: dict of `images` float `(batch, H, W, 3)` in `[-1, 1]`, or of what `encode_moments` made of them as
                `moments`; and of `tokens` int `(batch, length)`, or of what `encode_text` made of them as `context`.
                To fix what is otherwise drawn at random it may hold `posterior_noise` and `noise`, float arrays of
                the latents' shape, and `timesteps`, int `(batch,)`.

        Returns:
            dict of `prediction` and `target`, float32 arrays of the latents' shape, and `timesteps`.
        """
        base = self.base
        size = ops.shape(batch["moments" if "moments" in batch else "images"])[0]
        shape = (size, *base.latent_shape)

        def normal(key):
            return batch[key] if key in batch else keras.random.normal(shape, seed=self.seed_generator)

        moments = batch["moments"] if "moments" in batch else base.moments(ops.cast(batch["images"], "float32"))
        latents = base.sample_posterior(moments, normal("posterior_noise"))
        noise = normal("noise")
        if self.noise_offset and "noise" not in batch:
            offset = keras.random.normal((size, 1, 1, shape[-1]), seed=self.seed_generator)
            noise = noise + self.noise_offset * offset
        if "timesteps" in batch:
            timesteps = batch["timesteps"]
        else:
            timesteps = keras.random.randint((size,), 0, base.schedule.steps, seed=self.seed_generator)
        noisy = base.schedule.add_noise(latents, noise, timesteps)
        context = batch["context"] if "context" in batch else base.text_encoder(batch["tokens"], training=training)
        prediction = base.unet([noisy, timesteps, context], training=training)
        return {
            "prediction": ops.cast(prediction, "float32"),
            "target": base.schedule.target(latents, noise, timesteps),
            "timesteps": timesteps,
        }

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The objective of a batch, a float32 scalar; see `keras_booth.dreambooth.loss`."""
        losses = squared_error(y_pred["prediction"], y_pred["target"])
        if self.min_snr_gamma is not None:
            losses = losses * min_snr_weights(self.base.schedule, y_pred["timesteps"], self.min_snr_gamma)
        instance, prior = prior_preservation_loss(losses, x["is_prior"], x["sample_weight"])
        self.instance_tracker.update_state(instance)
        self.prior_tracker.update_state(prior)
        return instance + self.prior_loss_weight * prior

    # On TensorFlow the arguments are `(data,)`, on JAX `(state, data)`: the last one is the batch everywhere.

    def train_step(self, *args):
        """One optimizer step on a batch dict, on any backend."""
        return super().train_step(*args[:-1], self._prepare(args[-1]))

    def test_step(self, *args):
        """The objective on a batch dict, on any backend."""
        return super().test_step(*args[:-1], self._prepare(args[-1]))

    def _prepare(self, data):
        """Fill in what a hand-made batch may lack: all instance photographs, and balanced weights."""
        batch = dict(keras.utils.unpack_x_y_sample_weight(data)[0])
        if "is_prior" not in batch:
            pictures = batch["moments" if "moments" in batch else "images"]
            batch["is_prior"] = ops.zeros(ops.shape(pictures)[:1], dtype="bool")
        if "sample_weight" not in batch:
            batch["sample_weight"] = balance(batch["is_prior"])
        return (batch, None, None)

    @property
    def trained_steps(self):
        """int: optimizer steps since this object was made or loaded."""
        return int(self.optimizer.iterations) if getattr(self, "optimizer", None) is not None else 0

    # === Config and saving ===

    def get_config(self):
        """A description from which `from_config` rebuilds the model, except for weights and vocabulary."""
        return {
            "base": self.base.config.to_dict(),
            "identifier": self.identifier,
            "class_noun": self.class_noun,
            "instance_prompt": self.instance_prompt,
            "class_prompt": self.class_prompt,
            "train_text_encoder": self.train_text_encoder,
            "lora": self.adapters.sizes if self.adapters else None,
            "seed": self.seed,
            "merged_tokens": list(self.base.merged_tokens),
            "dtype": self.dtype_policy.name,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """The inverse of `get_config`; the vocabulary follows with the archive's assets."""
        config = dict(config)
        base = StableDiffusionBase(BaseConfig.from_dict(config.pop("base")), dtype=config["dtype"])
        ratio, levels = config.pop("merged_tokens", (0.0, 0))
        if ratio:
            base.merge_tokens(ratio, levels)
        return cls(base, **config)

    def save_assets(self, folder):
        """Write the vocabulary into a `.keras` archive."""
        with open(f"{folder}/{VOCABULARY_FILE}", "wb") as file:
            file.write(self.base.tokenizer.vocabulary)

    def load_assets(self, folder):
        """Read the vocabulary from a `.keras` archive."""
        with open(f"{folder}/{VOCABULARY_FILE}", "rb") as file:
            config = self.base.config.text_encoder
            self.base.tokenizer = Tokenizer(file.read(), config.max_length, config.padding)

    # Keras saves no seed generators: without this, a resumed run would see the noise of its beginning again.

    def save_own_variables(self, store):
        """Write the state of the noise."""
        store["seed_state"] = ops.convert_to_numpy(self.seed_generator.state)

    def load_own_variables(self, store):
        """Read the state of the noise."""
        self.seed_generator.state.assign(store["seed_state"][:])

    def get_compile_config(self):
        """What `compile` was given."""
        if not self.compiled:
            return None
        return {
            "optimizer": keras.optimizers.serialize(self.optimizer),
            "prior_loss_weight": self.prior_loss_weight,
            "min_snr_gamma": self.min_snr_gamma,
            "noise_offset": self.noise_offset,
            "text_encoder_rate": self.text_encoder_rate,
            "text_encoder_until": self.text_encoder_until,
            "gradient_checkpointing": self.gradient_checkpointing,
        }

    def compile_from_config(self, config):
        """Compile a loaded model; its optimizer's state follows with the weights."""
        self.compile(**(config | {"optimizer": keras.optimizers.deserialize(config["optimizer"])}))

    def save(self, filepath, overwrite=True, *, dtype="float32", include_optimizer=False):
        """Save one self-contained `.keras` file: weights, vocabulary, schedule, prompts, settings.

        `keras.saving.load_model` opens it with no network, and draws bit-equal pictures.

        Args:
            filepath: path that ends in `.keras`.
            overwrite: bool. Whether an existing file may be replaced.
            dtype: `"float32"`, or `"float16"` for half the size (the pictures then differ slightly).
            include_optimizer: bool. Whether to keep the optimizer and its state, twice the size of the trained
                weights.
        """
        with self.base.present():
            save_archive(self, filepath, overwrite, dtype, include_optimizer)

    def export_weights(self, output, *, format="diffusers", dtype="float32"):
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


def check_names(identifier, class_noun):
    """Strip the identifier and the class noun; refuse what cannot name a subject."""
    names = []
    for field, name in (("identifier", identifier), ("class_noun", class_noun)):
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"`{field}` must be a word. Received: {field}={name!r}")
        names.append(name.strip())
    if names[0].lower() == names[1].lower():
        raise InputError(
            "`identifier` must differ from `class_noun`: it has to be a rare word that stands for the subject alone. "
            f"Received: identifier={identifier!r}, class_noun={class_noun!r}"
        )
    return names


def default_prompts(identifier, class_noun):
    """`("a photo of sks dog", "a photo of a dog")`."""
    return f"a photo of {identifier} {class_noun}", f"a photo of {article(class_noun)} {class_noun}"


def article(noun):
    """ "a" or "an"."""
    return "an" if noun[:1].lower() in "aeiou" else "a"
