"""Weights of KerasHub's transformers beside their names in transformers' files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keras_booth.bases import CONV, LINEAR, VECTOR, Kind, WeightTensor
from keras_booth.tools.errors import InputError

if TYPE_CHECKING:
    import keras

EXTRA = "pip install 'keras_booth[eval]'"


def keras_hub_models() -> Any:
    """The module `keras_hub.models`.

    Raises:
        InputError: where KerasHub is not installed.
    """
    try:
        import keras_hub
    except ImportError as error:
        raise InputError(f"DINO and CLIP need KerasHub: {EXTRA}. Received: {error}") from error
    return keras_hub.models


def pair(layer: keras.layers.Layer, name: str) -> list[WeightTensor]:
    """The weights of a dense layer, a convolution or a norm."""
    if hasattr(layer, "gamma"):
        return [WeightTensor(layer.gamma, VECTOR, f"{name}.weight"), WeightTensor(layer.beta, VECTOR, f"{name}.bias")]
    kind = CONV if len(layer.kernel.shape) == 4 else LINEAR
    bias = [WeightTensor(layer.bias, VECTOR, f"{name}.bias")] if layer.bias is not None else []
    return [WeightTensor(layer.kernel, kind, f"{name}.weight"), *bias]


def attention(layer: keras.layers.MultiHeadAttention, query: str, key: str, value: str, out: str) -> list[WeightTensor]:
    """The weights of Keras's attention, whose kernels have an axis for the heads.

    Args:
        layer: built `keras.layers.MultiHeadAttention`.
        query, key, value, out: str, the names of its parts.
    """
    found = []
    for dense, name in ((layer.query_dense, query), (layer.key_dense, key), (layer.value_dense, value)):
        width, heads, size = dense.kernel.shape
        found.append(WeightTensor(dense.kernel, split(width, heads, size), f"{name}.weight"))
        if dense.bias is not None:
            found.append(WeightTensor(dense.bias, reshaped((heads, size), (heads * size,)), f"{name}.bias"))
    heads, size, width = layer.output_dense.kernel.shape
    found.append(WeightTensor(layer.output_dense.kernel, merged(heads, size, width), f"{out}.weight"))
    if layer.output_dense.bias is not None:
        found.append(WeightTensor(layer.output_dense.bias, VECTOR, f"{out}.bias"))
    return found


def split(width, heads, size):
    """(in, heads, size) <-> (heads * size, in)."""
    return Kind(lambda ours: ours.reshape(width, heads * size).T, lambda theirs: theirs.T.reshape(width, heads, size))


def merged(heads, size, width):
    """(heads, size, out) <-> (out, heads * size)."""
    return Kind(lambda ours: ours.reshape(heads * size, width).T, lambda theirs: theirs.T.reshape(heads, size, width))


def reshaped(ours, theirs=None):
    """The same numbers in the same order, in another shape: of our variable, and of the file's tensor if it differs."""
    return Kind(lambda array: array.reshape(ours if theirs is None else theirs), lambda array: array.reshape(ours))
