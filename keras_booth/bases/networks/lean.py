"""Functions whose gradient is written out, so that a training step keeps their inputs and nothing of what is between.

Keras's backends keep each intermediate array that some gradient needs: six for a gated GELU, as many for a group norm
with swish. Here those are computed again in the backward pass, which costs less than it did to write them to memory.
"""

import math

import keras
from keras import ops

from keras_booth.tools.annotations import Tensor
from keras_booth.tools.process.machine import prefers_jit
from keras_booth.tools.process.passes import one_pass

# Bytes of one picture's array. Smaller ones are in the cache, and XLA's compiling takes longer than it saves.
LARGE = 8 * 2**20


def _pass(function, sizes, *arrays):
    """`function(*sizes, *arrays)`, as one pass over memory where that is not done anyway, and pays."""
    return one_pass(function, sizes, *arrays) if _pays(arrays[0]) else function(*sizes, *arrays)


def _pays(x):
    """Sizes that are not known, of a graph for pictures of any size, XLA would compile for each size anew."""
    if prefers_jit() or None in x.shape:
        return False
    return math.prod(x.shape[1:]) * (4 if keras.backend.standardize_dtype(x.dtype) == "float32" else 2) >= LARGE


@ops.custom_gradient
def gated_gelu(inputs: Tensor) -> Tensor:
    """The first half of the channels times the exact GELU of the second.

    Args:
        inputs: float `(…, 2 * channels)`.

    Returns:
        float `(…, channels)`.
    """
    return _pass(_gated_gelu, (), inputs), lambda upstream: _pass(_to_gated_gelu, (), inputs, upstream)


def _gated_gelu(inputs):
    x, gate = ops.split(inputs, 2, axis=-1)
    return x * ops.gelu(gate, approximate=False)


def _to_gated_gelu(inputs, upstream):
    """Its gradient."""
    x, gate = ops.split(inputs, 2, axis=-1)
    below = 0.5 * (1 + ops.erf(gate * math.sqrt(0.5)))
    slope = below + gate * ops.exp(-0.5 * ops.square(gate)) / math.sqrt(2 * math.pi)
    return ops.concatenate([upstream * gate * below, upstream * x * slope], axis=-1)


def normalize_groups(
    x: Tensor, gamma: Tensor, beta: Tensor, groups: int, epsilon: float, swish: bool = False
) -> Tensor:
    """Group normalization (arXiv:1803.08494, equation 1), and swish of it if one likes; in float32 inside.

    Keras's takes moments over three axes of five at once, for which TensorFlow has no good order on a CPU: here they
    are taken channel by channel first, on large feature maps in a third to a half of the time, and with smaller
    rounding errors.

    Args:
        x: float `(batch, H, W, channels)`.
        gamma, beta: float32 `(channels,)`.
        groups: int, which divides the channels.
        epsilon: float, added to the variance.
        swish: bool.

    Returns:
        float of the shape and dtype of `x`.
    """
    return _normalize(x, gamma, beta, groups, epsilon, swish)


def normalize_channels(x: Tensor, gamma: Tensor, beta: Tensor, epsilon: float) -> Tensor:
    """Layer normalization (arXiv:1607.06450) over the last axis; in float32 inside.

    Args:
        x: float `(…, channels)`.
        gamma, beta: float32 `(channels,)`.
        epsilon: float, added to the variance.

    Returns:
        float of the shape and dtype of `x`.
    """
    return _normalize(x, gamma, beta, None, epsilon, swish=False)


def _normalize(x, gamma, beta, groups, epsilon, swish):
    @ops.custom_gradient
    def normalized(x, gamma, beta):
        y, average, scale = _pass(_normalized, (groups, epsilon, swish), x, gamma, beta)

        def gradient(upstream):
            # Not by XLA, whose sums over pixels take up to three times as long.
            return _to_normalized(groups, swish, x, gamma, beta, average, scale, upstream)

        return y, gradient

    return normalized(x, gamma, beta)


def _normalized(groups, epsilon, swish, x, gamma, beta):
    """`(outcome, mean, 1 / standard deviation)`."""
    wide = ops.cast(x, "float32")
    average = _mean(groups, wide)
    scale = ops.rsqrt(_mean(groups, ops.square(wide - average)) + epsilon)
    y = (wide - average) * (scale * gamma) + beta
    return ops.cast(ops.silu(y) if swish else y, x.dtype), average, scale


def _to_normalized(groups, swish, x, gamma, beta, average, scale, upstream):
    """The gradients of `x`, gamma and beta."""
    upstream = ops.cast(upstream, "float32")
    standard = (ops.cast(x, "float32") - average) * scale
    if swish:
        y = standard * gamma + beta
        open_ = ops.sigmoid(y)
        upstream = upstream * open_ * (1 + y * (1 - open_))
    axes = tuple(range(len(x.shape) - 1))
    to_gamma, to_beta = ops.sum(upstream * standard, axis=axes), ops.sum(upstream, axis=axes)
    upstream = upstream * gamma
    to_x = scale * (upstream - _mean(groups, upstream) - standard * _mean(groups, upstream * standard))
    return ops.cast(to_x, x.dtype), to_gamma, to_beta


def _mean(groups, x):
    """Of what shares one, broadcasting against `x`: a place's channels, or a picture's group of channels."""
    if groups is None:
        return ops.mean(x, axis=-1, keepdims=True)
    size = x.shape[-1] // groups
    channels = ops.mean(ops.mean(x, axis=2), axis=1)
    means = ops.mean(ops.reshape(channels, (-1, groups, size)), axis=-1, keepdims=True)
    return ops.reshape(ops.tile(means, (1, 1, size)), (-1, 1, 1, x.shape[-1]))
