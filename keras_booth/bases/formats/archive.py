"""`.keras` files of ours -> base: what training left, to be trained further."""

import dataclasses
import functools
import pathlib
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_booth.bases.base import BaseConfig
from keras_booth.bases.formats.names import named_layers
from keras_booth.bases.formats.room import require_room, require_vocabulary
from keras_booth.bases.formats.weights_h5 import (
    WEIGHTS_FILE,
    Found,
    inspect_weights,
    load_weights,
    require_all_read,
)
from keras_booth.bases.tokenizer import LONGEST_VOCABULARY, Tokenizer
from keras_booth.bases.vocabularies import vocabulary_digest
from keras_booth.tools.annotations import FilePath
from keras_booth.tools.errors import CheckpointError, InputError
from keras_booth.tools.files.json_files import LONGEST, parse_json
from keras_booth.tools.files.typed_fields import fits
from keras_booth.tools.files.zip_files import ZipMembers
from keras_booth.tools.wording import shown

CONFIG_FILE, METADATA_FILE = "config.json", "metadata.json"
VOCABULARY_FILE = "vocabulary.txt.gz"
CLASS = "keras_booth>DreamBooth"
HALF = 2  # bytes of a weight in the smallest file that `save` writes


@dataclasses.dataclass(frozen=True)
class Archive:
    """A `.keras` file that has been described, but not loaded.

    Args:
        members: `ZipMembers`.
        whole: dict, all that Keras wrote of the model.
        base: `BaseConfig`.
        tokenizer: `Tokenizer`.
        found: `Found` in its weights; `None` where nobody has looked.
    """

    members: ZipMembers
    whole: dict[str, Any]
    base: BaseConfig
    tokenizer: Tokenizer
    found: Found | None

    @property
    def model(self) -> dict[str, Any]:
        """The model's config as `get_config` gave it."""
        return self.whole["config"]

    def load_weights(self, model: keras.Model, numbers: int, lora: bool = True) -> None:
        """Load the weights into a model; none may be left in the file.

        Args:
            model: `keras.Model`.
            numbers: int, those that the model has.
            lora: bool. Whether the matrices of LoRA are among them.
        """
        load_weights(model, self.members)
        require_all_read(self.found, numbers, lora, self.members.path)


def read_archive(path: FilePath, thorough: bool = False) -> dict[str, Any]:
    """What a `.keras` file says of its model; refused with a sentence when it is not ours.

    Args:
        path: path of the file.
        thorough: bool. Whether to look for damage in all of it, which takes a moment for each gigabyte.

    Returns:
        dict, the model's config as `get_config` gave it.

    Raises:
        CheckpointError: if the file is missing, damaged, or holds something else.
    """
    return open_archive(path, thorough).model


def open_archive(path: FilePath, thorough: bool = False) -> Archive:
    """`Archive` of a `.keras` file; see `read_archive`."""
    path = pathlib.Path(path)
    if not path.exists() or path.is_dir():
        raise CheckpointError(f"There is no such file; give the `.keras` file that training wrote. Received: {path}")
    members = ZipMembers(path, "`.keras` file", CheckpointError)
    whole = read_config(members)
    for name in (WEIGHTS_FILE, f"assets/{VOCABULARY_FILE}", METADATA_FILE):
        members.require(name)
    if thorough:
        members.verify()
    try:
        base = BaseConfig.from_dict(whole["config"].get("base"))
        tokenizer = read_vocabulary(members, base)
    except CheckpointError:
        raise
    except InputError as error:
        raise CheckpointError(f"{error} in {CONFIG_FILE} of {path}") from error
    require_room(base, [path], HALF)
    require_vocabulary(base, tokenizer, path)
    digest = whole["config"].get("vocabulary")
    if digest is not None and digest != vocabulary_digest(tokenizer):
        raise CheckpointError(f"The vocabulary in the file is not that of its model. Received: {path}")
    require_lora(whole["config"].get("lora"), members)
    return Archive(members, whole, base, tokenizer, inspect_weights(members) if thorough else None)


def read_config(members):
    """All that Keras wrote of a model, which must be ours."""
    path = members.path
    what = f"The file is no `.keras` file of ours: its {CONFIG_FILE}"
    whole = parse_json(members.read(CONFIG_FILE, LONGEST), what, path, CheckpointError)
    if whole.get("registered_name") != CLASS:
        kind = whole.get("class_name", "something else")
        kind = kind if isinstance(kind, str) and len(kind) < 60 else shown(kind)
        raise CheckpointError(f"The file holds a {kind}, not a DreamBooth that keras_booth saved. Received: {path}")
    if not isinstance(whole.get("config"), dict):
        raise CheckpointError(
            f"The field 'config' in {CONFIG_FILE} must be an object, not {shown(whole.get('config'))}. Received: {path}"
        )
    return whole


def read_vocabulary(members, config):
    """`Tokenizer` of the merge list in an archive, for a `BaseConfig`."""
    vocabulary, text = members.read(f"assets/{VOCABULARY_FILE}", LONGEST_VOCABULARY), config.text_encoder
    try:
        return Tokenizer(vocabulary, text.max_length, text.padding, text.added_tokens)
    except InputError as error:
        raise CheckpointError(f"{error} in {VOCABULARY_FILE} of {members.path}") from error


def require_lora(lora, members):
    """Refuse `(rank, alpha)` by layer of another form, or matrices that the file could not hold."""
    if not fits(lora, dict[str, tuple[int, float]] | None):
        raise CheckpointError(
            f"lora must be an object of (rank, alpha) by the names of layers. Received: lora={shown(lora)} in "
            f"{CONFIG_FILE} of {members.path}"
        )
    for name, (rank, alpha) in (lora or {}).items():
        # A layer is at least 32 wide on both sides.
        if not 1 <= rank <= members.infos[WEIGHTS_FILE].file_size / (64 * HALF) or alpha <= 0:
            raise CheckpointError(
                f"The (rank, alpha) of a LoRA must be positive, and its matrices fit into the file. "
                f"Received: lora of {shown(name)}={shown((rank, alpha))} in {CONFIG_FILE} of {members.path}"
            )


def describe_archive(path, vocabulary=None):
    """`(BaseConfig, Tokenizer, loader of weights)` of the base that a `.keras` file holds.

    Args:
        path: `Path` of the file.
        vocabulary: bytes of a merge list, or `None` for the archive's own.

    Raises:
        CheckpointError: see `read_archive`.
    """
    archive = open_archive(path)
    config, tokenizer = archive.base, archive.tokenizer
    if vocabulary is not None:
        text = config.text_encoder
        tokenizer = Tokenizer(vocabulary, text.max_length, text.padding, text.added_tokens)
    return config, tokenizer, functools.partial(load_archive, path=path)


class Parts(keras.Model):
    """The models of a base by the names that they have in a `DreamBooth`, which are their places in its file."""

    def __init__(self, base):
        super().__init__(autocast=False)
        for name, model in base.components.items():
            setattr(self, name, model)
        self.built = True

    def load_own_variables(self, store):
        """Leave the state of the noise where it is: it belongs to the run that is over."""


def load_archive(base, path):
    """Load the weights of a `.keras` file. LoRA is merged into the kernels: what is trained on is one model.

    Args:
        base: `StableDiffusionBase` of the config that `describe_archive` gave.
        path: `Path` of the file.
    """
    archive = open_archive(path, thorough=True)
    lora, layers = archive.model.get("lora") or {}, named_layers(base)
    unknown = next((name for name in lora if name not in layers), None)
    if unknown is not None:
        raise CheckpointError(f"lora names a layer that the model does not have, {shown(unknown)}. Received: {path}")
    try:
        for name, (rank, alpha) in lora.items():
            layers[name].load_own_variables = functools.partial(load_merged, layers[name], alpha / rank, path)
        parts = Parts(base)
        archive.load_weights(parts, parts.count_params(), lora=False)
    finally:
        for name in lora:
            layers[name].__dict__.pop("load_own_variables", None)


def load_merged(layer, factor, path, store):
    """Load a layer that was saved with LoRA: its kernel takes the product of A and B, weighed by `factor`."""
    kernel = ops.cast(ops.convert_to_tensor(store["0"]), "float32")
    a, b = (ops.cast(ops.convert_to_tensor(store[name]), "float32") for name in ("lora_a", "lora_b"))
    merged = ops.convert_to_numpy(kernel + factor * ops.matmul(a, b))
    if not np.isfinite(merged).all():
        raise CheckpointError(f"The LoRA of {layer.path} overflows where it is merged. Received: {path}")
    layer.kernel.assign(ops.cast(merged, layer.kernel.dtype))
    if layer.use_bias:
        layer.bias.assign(store["1"])
