"""A checkpoint as a file, which says by itself whether it is whole: all of it is in its digest."""

import dataclasses
import hashlib
import json
import logging
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from keras_booth.tools.annotations import FilePath
from keras_booth.tools.errors import CheckpointError
from keras_booth.tools.files.foreign import parsing
from keras_booth.tools.files.writing import whole_file

NAME = re.compile(r"step-(\d{8,18})\.safetensors")

HEAD, OLDER_HEAD = {"step", "notes", "digest"}, {"step"}


class DamagedCheckpoint(CheckpointError):
    """A checkpoint that is not what was written."""


@dataclasses.dataclass(frozen=True)
class Stored:
    """A checkpoint that was read from one end to the other, and found whole.

    Args:
        path: `Path`.
        step: int >= 1.
        notes: dict, what the run said of itself when it was written; `None` of versions that kept no digest.
    """

    path: pathlib.Path
    step: int
    notes: dict[str, Any] | None


def write(path: FilePath, tensors: Mapping[str, np.ndarray], step: int, notes: Mapping[str, Any] | None = None) -> None:
    """Write a checkpoint, whole or not at all.

    Args:
        path: str or `Path`.
        tensors: dict of arrays.
        step: int.
        notes: dict that JSON can hold, which `read` gives back.
    """
    head = {"step": json.dumps(step), "notes": json.dumps(notes or {}, sort_keys=True)}
    hasher = _start(head)
    for name in sorted(tensors):
        _add(hasher, name, tensors[name])
    with whole_file(path) as part:
        save_file(dict(tensors), part, head | {"digest": hasher.hexdigest()})


def read(path: FilePath) -> Stored:
    """Look through a checkpoint.

    Raises:
        DamagedCheckpoint: if the file cannot be read, a bit of it is another one, its numbers are not finite, or it is
            not of the step that its name says. Without a digest (of an earlier version) not every bit can be known.
    """
    path = pathlib.Path(path)
    with (
        parsing(lambda reason: DamagedCheckpoint(f"The checkpoint is damaged ({reason}). Received: {path}")),
        safe_open(path, framework="numpy") as file,
    ):
        head = dict(file.metadata() or {})
        if set(head) not in (HEAD, OLDER_HEAD):
            raise ValueError("its header is of another kind")
        digest = head.pop("digest", None)
        hasher = _start(head)
        for name in sorted(file.keys()):
            tensor = file.get_tensor(name)
            if not _finite(tensor):
                raise ValueError(f"{name!r} holds numbers that are not finite")
            _add(hasher, name, tensor)
        step = json.loads(head["step"])
        notes = None if digest is None else json.loads(head["notes"])
    if digest not in (None, hasher.hexdigest()):
        raise DamagedCheckpoint(f"The checkpoint is damaged (it is not what its digest says). Received: {path}")
    named = NAME.fullmatch(path.name)
    if type(step) is not int or step < 1 or (named and int(named[1]) != step):
        raise DamagedCheckpoint(
            f"The checkpoint is damaged (its step must be a whole number, that of its name). Received: {path}, with "
            f"step {str(step)[:40]}"
        )
    return Stored(path, step, notes)


def in_order(folder: FilePath) -> list[pathlib.Path]:
    """All checkpoints in a folder, whole or not, the newest last."""
    found = [(NAME.fullmatch(path.name), path) for path in pathlib.Path(folder).glob("step-*.safetensors")]
    return [path for name, path in sorted((int(name[1]), path) for name, path in found if name and path.is_file())]


def newest_whole(paths: Iterable[pathlib.Path]) -> Stored | None:
    """The newest checkpoint that is whole; says in one warning which ones are not.

    Args:
        paths: what `in_order` found.

    Returns:
        `Stored`, or `None` where there is no checkpoint at all.

    Raises:
        DamagedCheckpoint: if there are some, and none of them is whole.
    """
    damaged = []
    for path in reversed(list(paths)):
        try:
            stored = read(path)
        except DamagedCheckpoint as error:
            damaged.append(error)
            continue
        if damaged:
            logging.getLogger("keras_booth").warning("%s; the run goes on from %s.", damaged[0], path.name)
        return stored
    if damaged:
        raise DamagedCheckpoint(
            f"No checkpoint of the run is whole; delete the folder that they are in, and --resume begins the run anew. "
            f"{damaged[0]}"
        )
    return None


def _start(head):
    return hashlib.blake2b(json.dumps(head, sort_keys=True).encode(), digest_size=16)


def _add(hasher, name, tensor):
    hasher.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
    # As bytes: bfloat16 is no type that Python's buffers know.
    hasher.update(np.ascontiguousarray(tensor).view("uint8").data)


def _finite(tensor):
    return tensor.dtype.kind not in "fV" or bool(np.all(np.isfinite(tensor)))
