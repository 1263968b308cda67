"""LPIPS with AlexNet (arXiv:1801.03924, version 0.1): how different two pictures look."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import ArrayLike

from keras_booth.bases import CONV, VECTOR, Checkpoint, WeightTensor, check_and_load
from keras_booth.tools.annotations import FilePath
from keras_booth.tools.errors import CheckpointError, InputError

# torchvision's AlexNet up to its last convolution: features, size of the kernel, stride; before all but two a pooling.
CONVOLUTIONS = ((64, 11, 4), (192, 5, 1), (384, 3, 1), (256, 3, 1), (256, 3, 1))
POOLED = (1, 2)
PLACES = (0, 3, 6, 8, 10)  # of the convolutions in torchvision's list of layers
# Of pictures in [-1, 1], as `lpips` has them.
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
LEAST = 63  # pixels of a side, below which nothing is left of a picture in the deepest layer
AT_ONCE = 16
# There is no official file in a safe format.
TO_MAKE = (
    "with torch: `import lpips, safetensors.torch as s; s.save_file({k: v.contiguous() for k, v in "
    "lpips.LPIPS(net='alex').state_dict().items() if not k.startswith('lins.')}, 'lpips.safetensors')`"
)


def build_features() -> keras.Model:
    """AlexNet's five levels of features, each behind its activation, of pictures in `[-1, 1]`."""
    images = keras.Input((None, None, 3), dtype="float32", name="images")
    scale, offset = [1 / scale for scale in SCALE], [-s / d for s, d in zip(SHIFT, SCALE, strict=True)]
    x = layers.Rescaling(scale, offset, dtype="float32")(images)
    outputs = []
    for index, (width, size, stride) in enumerate(CONVOLUTIONS):
        if index in POOLED:
            x = layers.MaxPooling2D(3, 2, dtype="float32")(x)
        x = layers.ZeroPadding2D(2 if size > 3 else 1, dtype="float32")(x)
        x = layers.Conv2D(width, size, stride, activation="relu", dtype="float32", name=f"convolution_{index}")(x)
        outputs.append(x)
    return keras.Model(images, outputs, name="alexnet")


class Lpips:
    """The distance of pictures: float32 in `[0, about 1]`, 0 for equal ones.

    Args:
        features: model of `build_features`.
        weights: list of float32 arrays `(width,)`, one a level: how much each feature counts.
    """

    name = "LPIPS"

    def __init__(self, features: keras.Model, weights: list[np.ndarray]):
        self.features, self.weights = features, weights

    def pairwise(self, pictures: Iterable[ArrayLike]) -> np.ndarray:
        """The distances of all pairs.

        Args:
            pictures: iterable of uint8 arrays `(H, W, 3)`, all of one size.

        Returns:
            float32 array `(count, count)`, symmetric, 0 on its diagonal.

        Raises:
            InputError: for pictures of different sizes, or too small ones, or a distance that is not finite.
        """
        levels = self._levels(same_size(pictures))
        count = len(levels[0])
        found = np.zeros((count, count), "float32")
        for level, weights in zip(levels, self.weights, strict=True):
            for index in range(count - 1):
                error = np.square(level[index + 1 :] - level[index]) @ weights
                found[index, index + 1 :] += error.mean(-1)
        if not np.isfinite(found).all():
            raise InputError("LPIPS gives pictures a distance that is not finite: its weights are damaged.")
        return found + found.T

    def _levels(self, pictures):
        """Of each level the features, of length 1 at each place: `(count, places, width)`."""
        parts = []
        for first in range(0, len(pictures), AT_ONCE):
            batch = pictures[first : first + AT_ONCE].astype("float32") / 127.5 - 1.0
            parts.append([ops.convert_to_numpy(level) for level in self.features(batch, training=False)])
        levels = []
        for found in zip(*parts, strict=True):
            level = np.concatenate(found)
            level = level.reshape(len(level), -1, level.shape[-1])
            levels.append(level / (np.sqrt(np.square(level).sum(-1, keepdims=True)) + 1e-10))
        return levels


def same_size(pictures):
    """An array of pictures that can be compared, uint8 `(count, H, W, 3)`."""
    pictures = [np.asarray(picture) for picture in pictures]
    sizes = sorted({picture.shape[:2] for picture in pictures})
    if len(sizes) != 1:
        raise InputError(f"LPIPS compares pictures of one size. Received: sizes {sizes}")
    if min(sizes[0]) < LEAST:
        raise InputError(f"LPIPS needs pictures of at least {LEAST} pixels. Received: {sizes[0]}")
    return np.stack(pictures)


def load_lpips(place: FilePath) -> Lpips:
    """LPIPS with its learned weights.

    Args:
        place: path of a `.safetensors` file with the tensors of `lpips.LPIPS(net="alex")`.

    Raises:
        CheckpointError: if there is none, saying how to make one, or it holds other tensors.
    """
    path = pathlib.Path(place)
    if not path.is_file():
        raise CheckpointError(f"There is no file with LPIPS's weights; make it once, {TO_MAKE}. Received: {place}")
    features = build_features()
    weights = [keras.Variable(np.zeros((1, 1, width, 1), "float32")) for width, _, _ in CONVOLUTIONS]
    tensors = []
    for index, place_in_list in enumerate(PLACES):
        layer = features.get_layer(f"convolution_{index}")
        name = f"net.slice{index + 1}.{place_in_list}"
        tensors += [
            WeightTensor(layer.kernel, CONV, f"{name}.weight"),
            WeightTensor(layer.bias, VECTOR, f"{name}.bias"),
        ]
        tensors.append(WeightTensor(weights[index], CONV, f"lin{index}.model.1.weight"))
    check_and_load(Checkpoint([path]), tensors, (r"scaling_layer\.", r"lins\."))
    return Lpips(features, [ops.convert_to_numpy(variable.value)[0, 0, :, 0] for variable in weights])
