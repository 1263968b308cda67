"""The `model.weights.h5` of a `.keras` file, looked at before Keras reads it: plain arrays of numbers, and finite."""

import dataclasses
import pathlib
import shutil
import tempfile

import h5py
import keras
import ml_dtypes
import numpy as np

from keras_booth.bases.formats.tensors import require_finite
from keras_booth.tools.errors import CheckpointError
from keras_booth.tools.files.foreign import parsing, shown_reason
from keras_booth.tools.files.writing import writing
from keras_booth.tools.files.zip_files import ZipMembers
from keras_booth.tools.wording import shown

WEIGHTS_FILE = "model.weights.h5"
DEEPEST = 40  # groups within groups; those of a DreamBooth are ten
LORA = ("lora_a", "lora_b")
# Groups with other things than a base's weights: the noise, the optimizer, what is measured.
OTHERS = ("vars", "optimizer", "instance_tracker", "prior_tracker")


@dataclasses.dataclass
class Found:
    """What is in the file.

    Attributes:
        weights: int, the numbers of the base.
        lora: int, those of its low-rank matrices.
        size: int, the bytes of all arrays.
    """

    weights: int = 0
    lora: int = 0
    size: int = 0


def inspect_weights(members: ZipMembers) -> Found:
    """Look at all arrays, reading each once.

    Raises:
        CheckpointError: for a file that is damaged; for links, arrays that lie elsewhere, are compressed or of another
            kind than numbers; for NaN and infinity.
    """
    size, found = members.infos[WEIGHTS_FILE].file_size, Found()
    what = f"{WEIGHTS_FILE} in the file is damaged or truncated"
    with (
        members.seekable(WEIGHTS_FILE) as raw,
        parsing(lambda reason: CheckpointError(f"{what} ({reason}). Received: {members.path}")),
        h5py.File(raw, "r") as file,
    ):
        for name, dataset in datasets(file, members.path):
            count(found, name, dataset)
            # Arrays that share their bytes would be a small file of many gigabytes.
            if found.size > size:
                raise CheckpointError(
                    f"{WEIGHTS_FILE} in it has arrays of more bytes than itself. Received: {members.path}"
                )
            require_finite(name, numbers_of(dataset, name, members.path), members.path)
    return found


def datasets(group, path, prefix="", depth=0):
    """Iterator over `(name, dataset)` of all arrays; links are refused, which could lead elsewhere, or in circles."""
    if depth > DEEPEST:
        raise CheckpointError(f"{WEIGHTS_FILE} in it is nested too deep, in {shown(prefix)}. Received: {path}")
    for key in group:
        name = f"{prefix}{key}"
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise CheckpointError(f"{WEIGHTS_FILE} in it has a link, {shown(name)}. Received: {path}")
        item = group[key]
        if isinstance(item, h5py.Group):
            yield from datasets(item, path, f"{name}/", depth + 1)
        else:
            yield name, item


def count(found, name, dataset):
    """Add an array to what is found."""
    found.size += dataset.nbytes
    if name.split("/")[0] not in OTHERS:
        field = "lora" if name.split("/")[-1] in LORA else "weights"
        setattr(found, field, getattr(found, field) + dataset.size)


def numbers_of(dataset, name, path):
    """The values of an array, which must lie in the file as they are."""
    half = dataset.attrs.get("dtype") == "bfloat16"
    if dataset.external or dataset.is_virtual or dataset.id.get_storage_size() != dataset.nbytes:
        raise CheckpointError(f"The array {shown(name)} does not lie in the file as it is. Received: {path}")
    if dataset.dtype.kind not in "biuf" and not half:
        raise CheckpointError(f"The array {shown(name)} must be of numbers, not {dataset.dtype}. Received: {path}")
    values = dataset[()]
    return np.asarray(values).view(ml_dtypes.bfloat16) if half and values.dtype.kind == "V" else values


def load_weights(model: keras.Model, members: ZipMembers) -> None:
    """Have Keras read the weights that `inspect_weights` has looked at.

    Args:
        model: `keras.Model` whose layers are as in the file.
        members: `ZipMembers`.

    Raises:
        CheckpointError: for arrays that are missing, or of other shapes than the model's.
        OSError: if the temporary folder has no room.
    """
    with tempfile.TemporaryDirectory(prefix="keras_booth-") as folder:
        # Keras itself would read the archive from its beginning for each array.
        path = pathlib.Path(folder, WEIGHTS_FILE)
        with writing(path), members.seekable(WEIGHTS_FILE) as raw, path.open("wb") as file:
            shutil.copyfileobj(raw, file, 1 << 24)
        try:
            model.load_weights(path)
        except (CheckpointError, MemoryError):
            raise
        # Of all that went wrong within it, Keras makes one ValueError.
        except (ValueError, KeyError, OSError, RuntimeError) as reason:
            raise CheckpointError(
                f"The weights are of another model than the config describes ({shown_reason(reason, 240)}). "
                f"Received: {members.path}"
            ) from reason


def require_all_read(found: Found, numbers: int, lora: bool, path: pathlib.Path) -> None:
    """Raises a `CheckpointError` if a file holds more weights than a model took from it: Keras leaves them aside.

    Args:
        found: `Found`.
        numbers: int, of the model.
        lora: bool. Whether the matrices of LoRA are among them.
        path: `Path` of the file.
    """
    total = found.weights + (found.lora if lora else 0)
    if total > numbers:
        raise CheckpointError(
            f"The file holds {total} weights, and its config describes {numbers}: fields such as layers or "
            f"blocks_per_level are of another model. Received: {path}"
        )
