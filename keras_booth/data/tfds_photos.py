"""Photographs of a TensorFlow Datasets builder, as files."""

from __future__ import annotations

import pathlib
from typing import Any, Protocol, runtime_checkable

from keras_booth.data.errors import PhotoError
from keras_booth.tools.annotations import FilePath
from keras_booth.tools.files.paths import cache_folder
from keras_booth.tools.files.writing import whole_file


@runtime_checkable
class Builder(Protocol):
    """What is asked of a `tfds.core.DatasetBuilder`, without importing TensorFlow Datasets."""

    @property
    def info(self) -> Any:
        """`tfds.core.DatasetInfo`."""

    def download_and_prepare(self, **options: Any) -> None:
        """Has the data ready on disk; nothing where they are."""

    def as_dataset(self, **options: Any) -> Any:
        """`tf.data.Dataset` of examples."""


def builder_photos(builder: Builder, folder: FilePath | None = None) -> list[pathlib.Path]:
    """Writes the photographs of a builder as files, in the order of their names; see `PhotoSet.from_tfds`.

    Raises:
        PhotoError: for a builder without the features `image` and `filename`.
    """
    import tensorflow_datasets as tfds

    lacking = [name for name in ("image", "filename") if name not in (builder.info.features or {})]
    if lacking:
        raise PhotoError(f"The builder has no feature {lacking[0]!r}. Received: {builder.info.full_name}")
    folder = pathlib.Path(folder or cache_folder() / "photographs" / builder.info.full_name)
    builder.download_and_prepare()
    # As they were stored, and not decoded.
    examples = builder.as_dataset(split="all", decoders={"image": tfds.decode.SkipDecoding()})
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for example in examples.as_numpy_iterator():
        # The last part alone: a name must not lead out of the folder.
        path = folder / pathlib.PurePosixPath(example["filename"].decode()).name
        with whole_file(path) as part:
            part.write_bytes(example["image"])
        paths.append(path)
    if not paths:
        raise PhotoError(f"The builder has no photographs. Received: {builder.info.full_name}")
    return sorted(paths)
