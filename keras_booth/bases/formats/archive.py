"""`.keras` files of ours -> base: what training left, to be trained further."""

import functools
import json
import pathlib
import zipfile
from typing import Any

import keras
from keras import ops

from keras_booth.bases.base import BaseConfig
from keras_booth.bases.formats.names import named_layers
from keras_booth.bases.tokenizer import Tokenizer
from keras_booth.tools.annotations import FilePath
from keras_booth.tools.errors import CheckpointError

WEIGHTS_FILE, CONFIG_FILE = "model.weights.h5", "config.json"
VOCABULARY_FILE = "vocabulary.txt.gz"
CLASS = "keras_booth>DreamBooth"


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
    path = pathlib.Path(path)
    if not path.is_file():
        raise CheckpointError(f"There is no such file; give the `.keras` file that training wrote. Received: {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip() if thorough else None
            if damaged:
                raise zipfile.BadZipFile(f"{damaged} in it is damaged")
            config = json.loads(archive.read(CONFIG_FILE))
            missing = {WEIGHTS_FILE, f"assets/{VOCABULARY_FILE}"} - set(archive.namelist())
    except zipfile.BadZipFile as error:
        raise CheckpointError(
            f"The file is damaged or truncated, or no `.keras` file: {error}. Received: {path}"
        ) from error
    except (KeyError, ValueError) as error:
        raise CheckpointError(
            f"The file is no `.keras` file: it lacks a readable {CONFIG_FILE}. Received: {path}"
        ) from error
    config = config if isinstance(config, dict) else {}
    if config.get("registered_name") != CLASS:
        kind = config.get("class_name", "something else")
        raise CheckpointError(f"The file holds a {kind}, not a DreamBooth that keras_booth saved. Received: {path}")
    if missing:
        raise CheckpointError(f"The file is damaged: it lacks {min(missing)}. Received: {path}")
    return config.get("config") or {}


def describe_archive(path, vocabulary=None):
    """`(BaseConfig, Tokenizer, loader of weights)` of the base that a `.keras` file holds.

    Args:
        path: `Path` of the file.
        vocabulary: bytes of a merge list, or `None` for the archive's own.

    Raises:
        CheckpointError: see `read_archive`.
    """
    model = read_archive(path)
    try:
        config = BaseConfig.from_dict(model["base"])
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"The file's {CONFIG_FILE} is damaged ({error}). Received: {path}") from error
    with zipfile.ZipFile(path) as archive:
        vocabulary = vocabulary or archive.read(f"assets/{VOCABULARY_FILE}")
    text = config.text_encoder
    tokenizer = Tokenizer(vocabulary, text.max_length, text.padding, text.added_tokens)
    return config, tokenizer, functools.partial(load_archive, path=path, lora=model.get("lora") or {})


class Parts(keras.Model):
    """The models of a base by the names that they have in a `DreamBooth`, which are their places in its file."""

    def __init__(self, base):
        super().__init__(autocast=False)
        for name, model in base.components.items():
            setattr(self, name, model)
        self.built = True

    def load_own_variables(self, store):
        """Leave the state of the noise where it is: it belongs to the run that is over."""


def load_archive(base, path, lora):
    """Load the weights of a `.keras` file. LoRA is merged into the kernels: what is trained on is one model.

    Args:
        base: `StableDiffusionBase` of the config that `describe_archive` gave.
        path: `Path` of the file.
        lora: dict of `(rank, alpha)` by the full name of a layer.
    """
    read_archive(path, thorough=True)
    layers = named_layers(base)
    try:
        for name, (rank, alpha) in lora.items():
            layers[name].load_own_variables = functools.partial(load_merged, layers[name], alpha / rank)
        Parts(base).load_weights(path)
    finally:
        for name in lora:
            layers[name].__dict__.pop("load_own_variables", None)


def load_merged(layer, factor, store):
    """Load a layer that was saved with LoRA: its kernel takes the product of A and B, weighed by `factor`."""
    kernel = ops.cast(ops.convert_to_tensor(store["0"]), "float32")
    a, b = (ops.cast(ops.convert_to_tensor(store[name]), "float32") for name in ("lora_a", "lora_b"))
    layer.kernel.assign(ops.cast(kernel + factor * ops.matmul(a, b), layer.kernel.dtype))
    if layer.use_bias:
        layer.bias.assign(store["1"])
