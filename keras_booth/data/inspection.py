"""What is odd about a folder of photographs, found before training."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from keras_booth.data.errors import PhotoError
from keras_booth.data.reading.photographs import read_scaled

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

    def smaller_than(self, side: int) -> list[Path]:
        """list of `Path` of the photographs whose short side is less than `side` pixels."""
        return [path for path, size in self.sizes.items() if min(size) < side]

    def shared(self, other: Inspection) -> list[tuple[Path, Path]]:
        """list of pairs of `Path`, one of these photographs and one of another `Inspection`, that show the same."""
        mine, others = list(self.prints), list(other.prints)
        return [(mine[one], others[two]) for one, two in np.argwhere(same(self.prints, other.prints))]


def inspect_photos(paths: Iterable[Path]) -> Inspection:
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
    seen = list(prints)
    duplicates = tuple((seen[one], seen[two]) for one, two in np.argwhere(np.triu(same(prints, prints), 1)))
    return Inspection(sizes, unreadable, duplicates, prints)


def same(ones: Mapping[Path, np.ndarray], twos: Mapping[Path, np.ndarray]) -> np.ndarray:
    """Bool array: which of some fingerprints are of the same picture as which of others; dicts of them."""
    ones, twos = (np.array(list(prints.values())).reshape(-1, 64) * 2.0 - 1.0 for prints in (ones, twos))
    return ones @ twos.T >= 64 - 2 * SAME_BITS


def fingerprint(photo: np.ndarray) -> np.ndarray:
    """64 booleans that survive another size or compression: where brightness grows from left to right (dHash)."""
    small = np.asarray(Image.fromarray(photo).convert("L").resize((9, 8), Image.Resampling.BOX), "int16")
    return (small[:, 1:] > small[:, :-1]).ravel()
