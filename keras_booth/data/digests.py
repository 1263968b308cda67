"""Digests of photographs, by which a later run finds out whether they are still the same."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from keras_booth.data.errors import PhotoError
from keras_booth.tools.annotations import FilePath
from keras_booth.tools.files.reading import open_ordinary

DIGEST_BYTES = 16
PART_BYTES = 2**20  # in memory at once


def photo_digests(paths: Iterable[FilePath]) -> dict[str, str]:
    """The BLAKE2b digest of each file's bytes.

    Args:
        paths: Sequence of paths, of photographs in one folder.

    Returns:
        Dict of strings, hex digests by the name of the file.

    Raises:
        PhotoError: If a photograph cannot be opened.
    """
    return {Path(path).name: _digest(path) for path in paths}


def _digest(path):
    try:
        with open_ordinary(path) as file:
            hasher = hashlib.blake2b(digest_size=DIGEST_BYTES)
            while part := file.read(PART_BYTES):
                hasher.update(part)
            return hasher.hexdigest()
    except OSError as error:
        raise PhotoError(f"The photo cannot be opened ({error.strerror}). Received: path='{path}'") from error
