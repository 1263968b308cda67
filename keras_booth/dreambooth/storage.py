"""One `.keras` file: written whole or not at all, refused with a sentence when it is not ours."""

from __future__ import annotations

import pathlib
import shutil
import tempfile
import zipfile
from typing import TYPE_CHECKING

import h5py
import keras
import numpy as np

from keras_booth.bases import ARCHIVED_CLASS, CONFIG_FILE, WEIGHTS_FILE, open_archive, require_finite
from keras_booth.tools.annotations import FilePath
from keras_booth.tools.dtypes import check_stored
from keras_booth.tools.errors import CheckpointError, InputError
from keras_booth.tools.files import whole_file

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
        with whole_file(path) as part:
            keras.saving.save_model(booth, part)
            if dtype == "float16":
                _halve(part)
    finally:
        booth.optimizer, booth.compiled = optimizer, compiled


def _halve(path):
    """Rewrite an archive with its float32 weights as float16; Keras casts them back when it loads."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        folder = pathlib.Path(folder)
        with zipfile.ZipFile(path) as archive:
            archive.extract(WEIGHTS_FILE, folder)
            with h5py.File(folder / WEIGHTS_FILE) as source, h5py.File(folder / "half.h5", "w") as target:
                _copy_halved(source, target)
            with zipfile.ZipFile(folder / "half.keras", "w") as smaller:
                for item in archive.infolist():
                    if item.filename != WEIGHTS_FILE:
                        smaller.writestr(item, archive.read(item))
                smaller.write(folder / "half.h5", WEIGHTS_FILE)
        shutil.move(folder / "half.keras", path)


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
    if array.dtype != "float32":
        return array
    with np.errstate(over="ignore"):
        half = array.astype("float16")
    require_finite(name, half, "dtype=float16", InputError)
    return half


def load(path: FilePath) -> DreamBooth:
    """Open a `.keras` file that `DreamBooth.save` wrote.

    Args:
        path: the file.

    Returns:
        `DreamBooth`.

    Raises:
        CheckpointError: if the file is missing, damaged, or holds something else.
    """
    archive = open_archive(path, thorough=True)
    booth = built(archive)
    booth.base.source = str(path)
    # The archive's own, which was looked at: a config only names it.
    booth.base.tokenizer = archive.tokenizer
    archive.load_weights(booth, sum(model.count_params() for model in booth.base.components.values()))
    return booth


def built(archive):
    """The model that an archive describes, with other weights; compiled, if it was saved with its optimizer."""
    place, compiled = f"{CONFIG_FILE} of {archive.members.path}", archive.whole.get("compile_config")
    kind = keras.saving.get_registered_object(ARCHIVED_CLASS)
    try:
        # Before anything is built, which takes seconds.
        kind.check_config(archive.model, compiled)
        booth = kind.from_config(archive.model)
        if compiled is not None:
            booth.compile_from_config(compiled)
    except InputError as error:
        raise CheckpointError(f"{error} in {place}") from error
    return booth
