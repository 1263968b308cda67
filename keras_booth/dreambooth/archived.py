"""What of a DreamBooth model is saved, by `save` or by any other way that Keras has."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NoReturn

from keras import ops

from keras_booth.bases import (
    VOCABULARY_FILE,
    BaseConfig,
    StableDiffusionBase,
    Tokenizer,
    check_merging,
    recall,
    remember,
)
from keras_booth.dreambooth.optimizers.archived import deserialized
from keras_booth.dreambooth.optimizers.assembly import serialized
from keras_booth.dreambooth.storage import save_archive
from keras_booth.dreambooth.subject import check_names
from keras_booth.tools.annotations import FilePath
from keras_booth.tools.errors import InputError
from keras_booth.tools.files.typed_fields import check_types, make
from keras_booth.tools.seeds import chosen_seed
from keras_booth.tools.wording import shown

if TYPE_CHECKING:
    from keras_booth.dreambooth.model import DreamBooth


POLICIES = ("float32", "mixed_bfloat16", "mixed_float16", "bfloat16", "float16")
# What `compile` was given, apart from how it computes.
SETTINGS = (
    "optimizer",
    "prior_loss_weight",
    "prior_target",
    "min_snr_gamma",
    "noise_offset",
    "text_encoder_rate",
    "text_encoder_2_rate",
    "text_encoder_until",
    "gradient_checkpointing",
)
# What earlier versions did not write.
WRITTEN_LATER = ("to_open", "vocabulary", "lora_scale")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fields:
    """What `get_config` gives, as a file has it; each is described where `DreamBooth` takes it."""

    base: dict
    identifier: str
    class_noun: str
    instance_prompt: str
    class_prompt: str
    train_text_encoder: bool
    lora: dict[str, tuple[int, float]] | None
    seed: int
    merged_tokens: tuple[float, int]
    dtype: str
    name: str
    to_open: str | None = None
    vocabulary: str | None = None
    lora_scale: float = 1.0

    def __post_init__(self):
        check_types(self)
        if self.dtype not in POLICIES:
            raise InputError(f"dtype must be one of {POLICIES}. Received: dtype={shown(self.dtype)}")


def compile_settings(config: Any) -> dict[str, Any]:
    """The arguments of `compile` that a file says.

    Raises:
        InputError: for arguments that it does not take, or something else than an optimizer.
    """
    if not isinstance(config, dict) or config.keys() - set(SETTINGS):
        raise InputError(f"compile_config must be an object of {SETTINGS}. Received: compile_config={shown(config)}")
    return config | {"optimizer": deserialized(config.get("optimizer"))}


class Archived:
    """Methods of `DreamBooth`; kept here because they are one concept. Of `_parts` they need nothing."""

    def get_config(self) -> dict[str, Any]:
        """A description from which `from_config` rebuilds the model, except for weights and vocabulary.

        The vocabulary is named by its digest, and found again in the same process.
        """
        return {
            # Keras shows the config when it does not know the class.
            "to_open": "import keras_booth",
            "base": self.base.config.to_dict(),
            "vocabulary": remember(self.base.tokenizer) if self.base.has_tokenizer else None,
            "identifier": self.identifier,
            "class_noun": self.class_noun,
            "instance_prompt": self.instance_prompt,
            "class_prompt": self.class_prompt,
            "train_text_encoder": self.train_text_encoder,
            "lora": self.adapters.sizes if self.adapters else None,
            "lora_scale": self.adapters.scale if self.adapters else 1.0,
            "seed": self.seed,
            "merged_tokens": list(self.base.merged_tokens),
            "dtype": self.dtype_policy.name,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> DreamBooth:
        """The inverse of `get_config`. The vocabulary is that of a model of this process, or tiny_world's; else it
        follows with the archive's assets."""
        fields = make(Fields, config, "config", WRITTEN_LATER)
        described = BaseConfig.from_dict(fields.base)
        base = StableDiffusionBase(described, recall(fields.vocabulary, described), fields.dtype)
        ratio, levels = fields.merged_tokens
        if ratio:
            base.merge_tokens(ratio, levels)
        booth = cls(
            base,
            identifier=fields.identifier,
            class_noun=fields.class_noun,
            instance_prompt=fields.instance_prompt,
            class_prompt=fields.class_prompt,
            train_text_encoder=fields.train_text_encoder,
            lora=fields.lora,
            seed=fields.seed,
            dtype=fields.dtype,
            name=fields.name,
        )
        if booth.adapters is not None:
            booth.lora_scale = fields.lora_scale
        return booth

    @staticmethod
    def check_config(config: dict[str, Any], compile_config: Any = None) -> None:
        """Raises an `InputError` for what `from_config` and `compile_from_config` would refuse, as far as it can be
        said without a model."""
        fields = make(Fields, config, "config", WRITTEN_LATER)
        described = BaseConfig.from_dict(fields.base)
        check_names(fields.identifier, fields.class_noun)
        chosen_seed(fields.seed, below=2**31)
        ratio, levels = fields.merged_tokens
        if ratio:
            check_merging(ratio, levels, described.unet.heads)
        if compile_config is not None:
            compile_settings(compile_config)

    def save_assets(self, folder: FilePath) -> None:
        """Write the vocabulary into a `.keras` archive."""
        with open(f"{folder}/{VOCABULARY_FILE}", "wb") as file:
            file.write(self.base.tokenizer.vocabulary)

    def load_assets(self, folder: FilePath) -> None:
        """Read the vocabulary from a `.keras` archive."""
        with open(f"{folder}/{VOCABULARY_FILE}", "rb") as file:
            config = self.base.config.text_encoder
            self.base.tokenizer = Tokenizer(file.read(), config.max_length, config.padding, config.added_tokens)

    # Keras saves no seed generators: without this, a resumed run would see the noise of its beginning again.

    def save_own_variables(self, store: Any) -> None:
        """Write the state of the noise, and how long the model was trained."""
        store["seed_state"] = ops.convert_to_numpy(self.seed_generator.state)
        self._store_history(store)

    def load_own_variables(self, store: Any) -> None:
        """Read what `save_own_variables` wrote."""
        self.seed_generator.state.assign(store["seed_state"][:])
        self._restore_history(store)

    def get_compile_config(self) -> dict[str, Any] | None:
        """What `compile` was given."""
        if not self.compiled:
            return None
        return {"optimizer": serialized(self.optimizer)} | {name: getattr(self, name) for name in SETTINGS[1:]}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile a loaded model; its optimizer's state follows with the weights."""
        self.compile(**compile_settings(config))

    def save(
        self, filepath: FilePath, overwrite: bool = True, *, dtype: str = "float32", include_optimizer: bool = False
    ) -> None:
        """Save one self-contained `.keras` file: weights, vocabulary, schedule, prompts, settings.

        `import keras_booth` and `keras.saving.load_model` open it with no network, and draw bit-equal pictures.

        Args:
            filepath: path that ends in `.keras`.
            overwrite: bool. Whether an existing file may be replaced.
            dtype: `"float32"`, or `"float16"` for half the size (the pictures then differ slightly).
            include_optimizer: bool. Whether to keep the optimizer and its state, twice the size of the trained
                weights. Without it, `compile` the model that is loaded before `fit`: training then goes on from these
                weights with a new optimizer.
        """
        save_archive(self, filepath, overwrite, dtype, include_optimizer)

    def export(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: what Keras exports is a program that trains, of no use to anybody; see `export_weights`."""
        raise InputError(
            "Keras's `export` is of no use here: call `export_weights`, for diffusers, ComfyUI or AUTOMATIC1111. "
            f"Received: export{args}"
        )
