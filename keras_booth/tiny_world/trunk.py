"""What judge and encoders look with: convolutions that halve the resolution level by level."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras
from keras import layers


def build_trunk(images: Any, widths: Sequence[int], seeds: Iterator[int]) -> Any:
    """Pictures in `[0, 255]`, `(batch, side, side, 3)`, -> features, `(batch, side / 2^n, side / 2^n, widths[-1])`.

    Args:
        images: `keras.Input`.
        widths: sequence of int, of the n levels.
        seeds: iterator over int, of the initial weights.
    """
    x = layers.Rescaling(1 / 127.5, offset=-1.0, dtype="float32", name="rescale")(images)
    for index, width in enumerate(widths):
        x = convolve(x, width, f"down_{index}", seeds, strides=2)
        if index:
            x = layers.Add(dtype="float32", name=f"add_{index}")([x, convolve(x, width, f"stay_{index}", seeds)])
    return x


def convolve(x: Any, width: int, name: str, seeds: Iterator[int], size: int = 3, strides: int = 1) -> Any:
    """A convolution with its norm and ReLU."""
    initializer = keras.initializers.HeNormal(seed=next(seeds))
    options = {"use_bias": False, "kernel_initializer": initializer, "dtype": "float32", "name": f"{name}_conv"}
    x = layers.Conv2D(width, size, strides=strides, padding="same", **options)(x)
    x = layers.BatchNormalization(momentum=0.95, dtype="float32", name=f"{name}_norm")(x)
    return layers.Activation("relu", dtype="float32", name=f"{name}_relu")(x)
