"""Pictures -> vectors that are near each other where the pictures show the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_booth.evaluation.encoders.preprocessing import Preprocessing
from keras_booth.tools.errors import CheckpointError, InputError

AT_ONCE = 16


class ImageEncoder:
    """A network with what is done to its pictures before.

    Args:
        name: str, for what is said of it.
        model: `keras.Model`.
        pick: callable, the model's output -> `(batch, width)`.
        preprocessing: `Preprocessing`.
        size: (height, width) that the model takes.
    """

    def __init__(
        self,
        name: str,
        model: keras.Model,
        pick: Callable[[Any], Any],
        preprocessing: Preprocessing,
        size: tuple[int, int],
    ):
        if preprocessing.output_size != tuple(size):
            raise CheckpointError(
                f"The pictures of {name} must come out as it takes them. "
                f"Received: {preprocessing.output_size} of the preprocessor's config, {tuple(size)} of the model's"
            )
        self.name, self.preprocessing = name, preprocessing
        self._model, self._pick = model, pick

    def __call__(self, pictures: Iterable[ArrayLike]) -> np.ndarray:
        """Encodes pictures.

        Args:
            pictures: iterable of uint8 arrays `(H, W, 3)`, of any sizes.

        Returns:
            float32 array `(count, width)`, each row of length 1.

        Raises:
            InputError: if an embedding is not finite, or there is no picture.
        """
        pictures = list(pictures)
        if not pictures:
            raise InputError(f"{self.name} needs at least one picture. Received: 0 pictures")
        parts = []
        for first in range(0, len(pictures), AT_ONCE):
            batch = self.preprocessing(pictures[first : first + AT_ONCE])
            parts.append(keras.ops.convert_to_numpy(self._pick(self._model(batch))))
        return unit_length(np.concatenate(parts), self.name)


def unit_length(vectors: np.ndarray, name: str) -> np.ndarray:
    """Rows divided by their lengths.

    Raises:
        InputError: if a row is not finite, or 0.
    """
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if not np.isfinite(vectors).all() or (lengths == 0).any():
        raise InputError(f"{name} gives a picture or text no direction (NaN, infinity or 0): its weights are damaged.")
    return vectors / lengths
