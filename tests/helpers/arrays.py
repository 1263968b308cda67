"""Arrays in, arrays out."""

import keras
import numpy as np


def normal(*shape, seed=0, scale=1.0):
    """float32, normally distributed."""
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype("float32")


def array(tensor):
    """The float32 values of a tensor or variable of any precision."""
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32"))
