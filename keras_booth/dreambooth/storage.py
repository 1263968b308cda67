"""One `.keras` file: written whole or not at all, refused with a sentence when it is not ours."""

from __future__ import annotations

import io
import pathlib
import zipfile
from typing import TYPE_CHECKING

import h5py
import keras

from keras_booth.bases import ARCHIVED_CLASS, CONFIG_FILE, WEIGHTS_FILE, as_stored, loaded_later, open_archive
from keras_booth.tools.annotations import FilePath
from keras_booth.tools.dtypes import POLICIES, check_stored
from keras_booth.tools.errors import CheckpointError, InputError
from keras_booth.tools.files.writing import scratch_folder, whole_file

if TYPE_CHECKING:
    from keras_booth.dreambooth.model import DreamBooth


def save_archive(
    booth: DreamBooth, path: FilePath, overwrite: bool = True, dtype: str = "float32", include_optimizer: bool = False
) -> None:
    """Write a `.keras` archive under a temporary name, then rename; see `DreamBooth.save`."""
    path = pathlib.Path(path)
    if path.suffix != ".keras":
        raise InputError(f"The file must end in '.keras'. Received: filepath={path}")
    check_stored(dtype)
    if path.exists() and not overwrite:
        raise InputError(f"The file is there already; pass overwrite=True to replace it. Received: filepath={path}")
    if not path.parent.is_dir():
        raise InputError(f"The folder of the file does not exist. Received: filepath={path}")
    optimizer, compiled = getattr(booth, "optimizer", None), booth.compiled
    booth.count_steps()
    try:
        if not include_optimizer:
            booth.optimizer, booth.compiled = None, False
        # Beside what it writes Keras puts files of its own where memory is short.
        with whole_file(path) as part, scratch_folder(path) as folder:
            whole = folder / "whole.keras"
            keras.saving.save_model(booth, whole)
            if dtype == "float16":
                whole = _halved(whole, folder / "half.keras")
            whole.replace(part)
    finally:
        booth.optimizer, booth.compiled = optimizer, compiled


def _halved(path, smaller):
    """Write an archive again with its float32 weights as float16; Keras casts them back when it loads. The weights are
    put together in memory, as Keras does it: on a disk that is full HDF5 ends the process. Returns `smaller`."""
    weights = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(smaller, "w") as target:
        with archive.open(WEIGHTS_FILE) as member, h5py.File(member) as source, h5py.File(weights, "w") as half:
            _copy_halved(source, half)
        for item in archive.infolist():
            target.writestr(item, weights.getbuffer() if item.filename == WEIGHTS_FILE else archive.read(item))
    return smaller


def _copy_halved(source, target):
    target.attrs.update(source.attrs)
    for name, item in source.items():
        if isinstance(item, h5py.Group):
            _copy_halved(item, target.create_group(name))
        else:
            copy = target.create_dataset(name, data=halved(name, item[()]))
            copy.attrs.update(item.attrs)


def halved(name, array):
    """Float32 numbers as float16; others as they are."""
    return as_stored(name, array, "float16", "the model") if array.dtype == "float32" else array


def load(path: FilePath, dtype: str | None = None) -> DreamBooth:
    """Open a `.keras` file that `DreamBooth.save` wrote.

    Args:
        path: the file.
        dtype: dtype policy of text encoder and UNet, to draw in another precision than that of the file: `"bfloat16"`
            takes half the memory; `None` for the file's.

    Returns:
        `DreamBooth`.

    Raises:
        CheckpointError: if the file is missing, damaged, or holds something else.
        InputError: for an unknown dtype.
    """
    if dtype is not None and dtype not in POLICIES:
        raise InputError(f"`dtype` must be one of {POLICIES}. Received: dtype={dtype!r}")
    archive = open_archive(path, thorough=True)
    booth = built(archive, dtype)
    booth.base.source = str(path)
    # The archive's own, which was looked at: a config only names it.
    booth.base.tokenizer = archive.tokenizer
    archive.load_weights(booth, sum(model.count_params() for model in booth.base.components.values()))
    return booth


def built(archive, dtype=None):
    """The model that an archive describes, with other weights, and in another precision by choice; compiled, if it was
    saved with its optimizer."""
    place, compiled = f"{CONFIG_FILE} of {archive.members.path}", archive.whole.get("compile_config")
    kind = keras.saving.get_registered_object(ARCHIVED_CLASS)
    try:
        # Before anything is built, which takes seconds.
        kind.check_config(archive.model, compiled)
        with loaded_later():
            booth = kind.from_config(archive.model | ({} if dtype is None else {"dtype": dtype}))
        if compiled is not None:
            booth.compile_from_config(compiled)
    except InputError as error:
        raise CheckpointError(f"{error} in {place}") from error
    return booth
