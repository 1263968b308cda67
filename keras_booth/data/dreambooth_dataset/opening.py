"""A subject of the DreamBooth dataset, ready for training."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

from keras_booth.data.dreambooth_dataset.subjects import SUBJECTS, subject_folder
from keras_booth.data.errors import PhotoError
from keras_booth.tools.annotations import FilePath

if TYPE_CHECKING:
    from keras_booth.data.dreambooth_dataset.builder import Dreambooth


def dreambooth_builder(
    subject: str, *, checkout: FilePath | None = None, data_dir: FilePath | None = None
) -> Dreambooth:
    """A subject of the DreamBooth dataset, for `photo_dataset` or `PhotoSet.from_tfds`.

    Args:
        subject: its name, as the dataset's folders have it: `"dog6"`.
        checkout: folder of a checkout of `google/dreambooth`; `None` to download the photographs when they are wanted.
        data_dir: where TensorFlow Datasets keeps what it prepared; `None` for its own place.

    Returns:
        `tfds.core.DatasetBuilder`; the 25 prompts are in its `info.metadata["prompts"]`.

    Raises:
        PhotoError: for an unknown subject, or one that the checkout lacks.

    Example:

    >>> data = photo_dataset(dreambooth_builder("dog6"), prior, booth, batch_size=2)
    """
    names = [known.name for known in SUBJECTS]
    if subject not in names:
        raise PhotoError(f"subject must be one of {', '.join(names)}. Received: subject={subject!r}")
    if checkout is not None and not subject_folder(pathlib.Path(checkout), subject).is_dir():
        raise PhotoError(f"There is no folder {subject} in the checkout. Received: checkout={checkout}")
    # Importing TensorFlow Datasets takes seconds.
    from keras_booth.data.dreambooth_dataset.builder import Dreambooth

    return Dreambooth(config=subject, checkout=checkout, data_dir=data_dir)
