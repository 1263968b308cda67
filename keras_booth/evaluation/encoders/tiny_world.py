"""The tiny world's own encoders, in the roles of DINO, CLIP and LPIPS."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from keras_booth.evaluation.encoders.image_encoder import unit_length
from keras_booth.tiny_world import TinyEncoders
from keras_booth.tools.errors import InputError


class TinyImages:
    """Pictures of any size -> float32 `(count, width)`, each row of length 1.

    Args:
        encoders: `TinyEncoders`.
        head: `"identity"` or `"meaning"`.
    """

    name = "the tiny world's encoder"

    def __init__(self, encoders: TinyEncoders, head: str):
        self.encoders, self.head = encoders, head

    def __call__(self, pictures: Iterable[ArrayLike]) -> np.ndarray:
        """Encodes pictures, uint8 `(H, W, 3)` each."""
        side = self.encoders.vision.input_shape[1]
        fitting = [
            Image.fromarray(np.asarray(picture)).resize((side, side), Image.Resampling.LANCZOS) for picture in pictures
        ]
        if not fitting:
            raise InputError(f"{self.name} needs at least one picture. Received: 0 pictures")
        found = self.encoders.images(np.stack([np.asarray(picture) for picture in fitting]))
        return unit_length(found[self.head], self.name)


class TinyTexts:
    """Texts -> float32 `(count, width)`, each row of length 1.

    Args:
        encoders: `TinyEncoders`.
    """

    name = "the tiny world's encoder"

    def __init__(self, encoders: TinyEncoders):
        self.encoders = encoders

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Encodes texts."""
        return unit_length(self.encoders.texts(texts), self.name)


class TinyDistance:
    """1 minus the cosine of two identities, in the role of LPIPS.

    Args:
        images: `TinyImages`.
    """

    name = "the tiny world's distance"

    def __init__(self, images: TinyImages):
        self.images = images

    def pairwise(self, pictures: Iterable[ArrayLike]) -> np.ndarray:
        """float32 `(count, count)`, symmetric, 0 on its diagonal."""
        embedded = self.images(pictures)
        distances = 1 - embedded @ embedded.T
        np.fill_diagonal(distances, 0)
        return distances


def tiny_world_loaders(
    load: Callable[[], TinyEncoders] = TinyEncoders.load,
) -> tuple[Callable[[], TinyImages], Callable[[], tuple[TinyImages, TinyTexts]], Callable[[], TinyDistance]]:
    """What `metrics_of` takes, of encoders that are loaded once and late."""
    encoders = functools.cache(load)
    return (
        lambda: TinyImages(encoders(), "identity"),
        lambda: (TinyImages(encoders(), "meaning"), TinyTexts(encoders())),
        lambda: TinyDistance(TinyImages(encoders(), "identity")),
    )
