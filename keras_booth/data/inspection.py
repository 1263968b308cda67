"""What is odd about a folder of photographs, found before training."""

import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image

from keras_booth.data.errors import PhotoError
from keras_booth.data.photographs import read_photo

# Of 64 bits; pictures of one moment differ in more.
SAME_BITS = 2


@dataclasses.dataclass(frozen=True)
class Inspection:
    """What was found.

    Args:
        sizes: dict of `(height, width)` by `Path`, of the photographs that can be read.
        unreadable: dict of reasons by `Path`.
        duplicates: tuple of pairs of `Path` that show the same.
    """

    sizes: dict[Path, tuple[int, int]]
    unreadable: dict[Path, str]
    duplicates: tuple[tuple[Path, Path], ...]

    def smaller_than(self, side):
        """list of `Path` of the photographs whose short side is less than `side` pixels."""
        return [path for path, size in self.sizes.items() if min(size) < side]


def inspect_photos(paths):
    """Reads all photographs.

    Args:
        paths: Sequence of `Path`.

    Returns:
        `Inspection`.
    """
    sizes, unreadable, prints = {}, {}, {}
    for path in paths:
        try:
            photo = read_photo(path)
        except PhotoError as error:
            unreadable[path] = str(error)
            continue
        sizes[path] = photo.shape[:2]
        prints[path] = fingerprint(photo)
    seen = list(prints)
    duplicates = tuple(
        (one, two)
        for place, one in enumerate(seen)
        for two in seen[place + 1 :]
        if np.count_nonzero(prints[one] != prints[two]) <= SAME_BITS
    )
    return Inspection(sizes, unreadable, duplicates)


def fingerprint(photo):
    """64 booleans that survive another size or compression: where brightness grows from left to right (dHash)."""
    small = np.asarray(Image.fromarray(photo).convert("L").resize((9, 8), Image.Resampling.BOX), "int16")
    return (small[:, 1:] > small[:, :-1]).ravel()
