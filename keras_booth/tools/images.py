"""Pictures as people have them, uint8 in [0, 255], and as models have them, float32 in [-1, 1]."""

import numpy as np
from numpy.typing import ArrayLike


def to_float(pictures: ArrayLike) -> np.ndarray:
    """uint8 pictures -> float32 in `[-1, 1]`, of the same shape."""
    return np.asarray(pictures).astype("float32") / np.float32(127.5) - np.float32(1)


def to_uint8(pictures: ArrayLike) -> np.ndarray:
    """Float pictures in `[-1, 1]` -> uint8 in `[0, 255]`, rounded, of the same shape."""
    return np.clip(np.round((np.asarray(pictures) + 1.0) * 127.5), 0, 255).astype("uint8")
