"""What is odd about a folder of photographs, found before training."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
from PIL import Image

from keras_booth.data.errors import PhotoError
from keras_booth.data.photographs import read_scaled

# Of 64 bits; pictures of one moment differ in more.
SAME_BITS = 2


@dataclasses.dataclass(frozen=True)
class Inspection:
    """What was found.

    Args:
        sizes: dict of `(height, width)` by `Path`, of the photographs that can be read.
        unreadable: dict of reasons by `Path`.
        duplicates: tuple of pairs of `Path` that show the same.
        prints: dict of fingerprints by `Path`.
    """

    sizes: dict[Path, tuple[int, int]]
    unreadable: dict[Path, str]
    duplicates: tuple[tuple[Path, Path], ...]
    prints: dict[Path, np.ndarray]

    def smaller_than(self, side):
        """list of `Path` of the photographs whose short side is less than `side` pixels."""
        return [path for path, size in self.sizes.items() if min(size) < side]

    def shared(self, other):
        """list of pairs of `Path`, one of these photographs and one of another `Inspection`, that show the same."""
        pairs = itertools.product(self.prints, other.prints)
        return [(one, two) for one, two in pairs if same(self.prints[one], other.prints[two])]


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
            photo, scale = read_scaled(path)
        except PhotoError as error:
            unreadable[path] = str(error)
            continue
        sizes[path] = tuple(side * scale for side in photo.shape[:2])
        prints[path] = fingerprint(photo)
    pairs = itertools.combinations(prints, 2)
    duplicates = tuple((one, two) for one, two in pairs if same(prints[one], prints[two]))
    return Inspection(sizes, unreadable, duplicates, prints)


def same(one, two):
    """Whether two fingerprints are of the same picture."""
    return np.count_nonzero(one != two) <= SAME_BITS


def fingerprint(photo):
    """64 booleans that survive another size or compression: where brightness grows from left to right (dHash)."""
    small = np.asarray(Image.fromarray(photo).convert("L").resize((9, 8), Image.Resampling.BOX), "int16")
    return (small[:, 1:] > small[:, :-1]).ravel()
