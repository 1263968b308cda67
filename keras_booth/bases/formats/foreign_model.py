"""Models in transformers' format that are no bases, such as the encoders of an evaluation."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

from keras_booth.bases.formats import hub
from keras_booth.bases.formats.diffusers.tokenizer import ADDED, NAMES, read_tokenizer
from keras_booth.bases.formats.diffusers.tokenizer import CONFIG as TOKENIZER_CONFIG
from keras_booth.bases.formats.names import Tensor
from keras_booth.bases.formats.tensors import Checkpoint, check, find_weights, load, read_json
from keras_booth.bases.tokenizer import Tokenizer
from keras_booth.tools.annotations import FilePath
from keras_booth.tools.errors import CheckpointError
from keras_booth.tools.files.foreign import parsing
from keras_booth.tools.wording import shown

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
TOKENIZER = ("tokenizer.json", "vocab.json", "merges.txt", TOKENIZER_CONFIG, NAMES, ADDED)


@dataclasses.dataclass(frozen=True)
class ForeignModel:
    """A folder as `save_pretrained` of transformers writes it.

    Args:
        folder: `Path`.
        config: dict, of `config.json`.
        checkpoint: `Checkpoint` with the weights.
    """

    folder: pathlib.Path
    config: dict[str, Any]
    checkpoint: Checkpoint

    def number(self, *names: str) -> int:
        """A whole number of the config, in the groups whose names come first.

        Raises:
            CheckpointError: if it is missing or not a positive whole number.
        """
        value = self.config
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise CheckpointError(
                f"{'.'.join(names)} must be a whole number above 0. "
                f"Received: {names[-1]}={shown(value)} in {self.folder / CONFIG}"
            )
        return value

    def preprocessor(self) -> tuple[dict[str, Any], pathlib.Path]:
        """How its pictures are prepared, and the file that says it."""
        path = self.folder / PREPROCESSOR
        return read_json(path), path

    def building(self) -> contextlib.AbstractContextManager[None]:
        """Has whatever a network's constructor says of the sizes in the config end in one sentence."""
        place = self.folder / CONFIG
        return parsing(
            lambda reason: CheckpointError(f"The config describes no such model ({reason}). Received: {place}")
        )

    def tokenizer(self, max_length: int) -> Tokenizer:
        """Its tokenizer, which must be CLIP's."""
        return read_tokenizer(self.folder, max_length)

    def load(self, tensors: Sequence[Tensor], ignored: Sequence[str] = ()) -> None:
        """Load weights, all of which must be there in the right shapes.

        Args:
            tensors: `Tensor`s of the model that they are for.
            ignored: regular expressions of names that may be left over.

        Raises:
            CheckpointError: naming the first tensor that is missing, left over or of another shape.
        """
        check_and_load(self.checkpoint, tensors, ignored)


def check_and_load(checkpoint: Checkpoint, tensors: Sequence[Tensor], ignored: Sequence[str] = ()) -> None:
    """Load the weights of a file, after they were found to be those that are wanted; see `ForeignModel.load`."""
    check(checkpoint, tensors, ignored)
    load(checkpoint, tensors)


def open_model(place: FilePath, kind: str) -> ForeignModel:
    """Open a model that `save_pretrained` of transformers wrote.

    Args:
        place: path of a folder, or `"hf://owner/name"`.
        kind: str, the `model_type` that it must say.

    Raises:
        CheckpointError: if there is none, or one of another kind.
    """
    folder = fetch_model(str(place)) if str(place).startswith(hub.PREFIX) else pathlib.Path(place)
    if not folder.is_dir():
        hint = f"; for the hub write hf://{place}" if hub.looks_like_a_repository(str(place)) else ""
        raise CheckpointError(f"There is no folder of a {kind} model{hint}. Received: {place}")
    config = read_json(folder / CONFIG)
    if config.get("model_type") != kind:
        raise CheckpointError(
            f"The folder must hold a model of type {kind!r}. "
            f"Received: model_type={shown(config.get('model_type'))} in {folder / CONFIG}"
        )
    return ForeignModel(folder, config, Checkpoint(find_weights(folder, "model")))


def fetch_model(address: str) -> pathlib.Path:
    """Download a model, or find it in the hub's cache; see `hub.fetch`."""
    repository, file, revision = hub.parse(address)
    if file:
        raise CheckpointError(f"A model is a whole repository: hf://{repository}. Received: {address}")
    names = hub.listing(repository, revision)
    return hub.fetch_parts(address, names, (CONFIG, PREPROCESSOR, *TOKENIZER), {"": "model"})
