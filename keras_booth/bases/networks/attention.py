"""Attention whose table of scores is never there as a whole where it is large (arXiv:2112.05682).

Of two pictures of 512 pixels one layer's table has a gigabyte, and a training step keeps those of five such layers.
Here the queries come in slices, one after the other, and the backward pass computes each slice's scores again: memory
grows with the number of places, not with its square. The gradient is written out (as in FlashAttention,
arXiv:2205.14135, appendix B.4), so that of a slice nothing is kept but its output.
"""

import math

import keras
from keras import ops

from keras_booth.tools.annotations import Tensor
from keras_booth.tools.process.machine import has_accelerator
from keras_booth.tools.process.turns import in_turn

# Bytes. One picture's table that is small enough is made at once, and kept for the backward pass.
WHOLE_TABLE = 16 * 2**20
# Of a slice: large enough for the products to take all cores, small beside everything else of a step.
SLICE = 64 * 2**20


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """`softmax(query keyᵀ) value`, of queries that are scaled already.

    Args:
        query: float `(batch, heads, n, size)`.
        key, value: float `(batch, heads, m, size)`.
        mask: bool `(n, m)`, which queries see which keys; `None` for all. Each must see one at least.

    Returns:
        float `(batch, heads, n, size)` in the dtype of `query`.
    """
    if _is_fused(query, key) and mask is None:
        parts = (ops.transpose(part, (0, 2, 1, 3)) for part in (query, key, value))
        return ops.transpose(ops.dot_product_attention(*parts, scale=1.0), (0, 2, 1, 3))
    heads, places, table = query.shape[1], query.shape[2], _bytes(query, key)
    if heads * table <= WHOLE_TABLE:
        return ops.matmul(_weights(query, key, mask), value)
    if table <= SLICE:
        together = max(count for count in range(1, heads + 1) if heads % count == 0 and count * table <= SLICE)
        return _in_slices(query, key, value, mask, together, places)
    return _in_slices(query, key, value, mask, 1, math.ceil(places / math.ceil(table / SLICE)))


def _bytes(query, key):
    """Of one head's table."""
    size = 4 if keras.backend.standardize_dtype(query.dtype) == "float32" else 2
    return query.shape[2] * key.shape[2] * size


def _is_fused(query, key):
    """Whether the backend has a kernel of its own for this: cuDNN's, where its gradient takes the shape too.

    For another shape Keras would log an error and make the whole table. The 77 tokens of a prompt are such a one.
    """
    half = keras.backend.standardize_dtype(query.dtype) != "float32"
    fits = query.shape[3] % 8 == 0 and query.shape[3] <= 128 and query.shape[2] % 2 == key.shape[2] % 2 == 0
    return half and fits and keras.backend.backend() == "jax" and has_accelerator()


def _weights(query, key, mask):
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2))
    if mask is not None:
        scores = ops.where(mask, scores, ops.cast(-1e9 if scores.dtype == "float32" else -3e4, scores.dtype))
    return ops.softmax(scores)


def _in_slices(query, key, value, mask, together, places):
    """So many heads at once, and of each so many queries."""

    def groups(x):
        return ops.reshape(x, (-1, together, *x.shape[2:]))

    def forward(query, key, value):
        return _forward(query, key, value, mask, places)

    def backward(*parts):
        return _backward(*parts, mask, places)

    @ops.custom_gradient
    def attention(query, key, value):
        parts = [groups(x) for x in (query, key, value)]
        (attended,) = in_turn(forward, parts, [parts[0].shape[1:]])
        attended = ops.reshape(attended, (-1, *query.shape[1:]))

        def gradient(upstream):
            # What the softmax's gradient takes off each score's: one number a query, so that no pass over the table is
            # needed to find it (appendix B.4, equation 4).
            means = ops.sum(upstream * attended, axis=-1, keepdims=True)
            found = in_turn(backward, [*parts, groups(upstream), groups(means)], [x.shape[1:] for x in parts])
            return [ops.reshape(x, (-1, *like.shape[1:])) for x, like in zip(found, (query, key, value), strict=True)]

        return attended, gradient

    return attention(query, key, value)


def _forward(query, key, value, mask, places):
    """Float `(heads, n, size)` of some heads -> the same, of their queries slice by slice."""

    def piece(query, mask=None):
        return [ops.matmul(_weights(query, key, mask), value)]

    count = query.shape[1]
    if places == count:
        return piece(query, mask)
    (attended,) = in_turn(piece, _cut(places, query, mask), [(query.shape[0], places, value.shape[-1])])
    return [_joined(attended, count)]


def _backward(query, key, value, upstream, means, mask, places):
    """The gradients of query, key and value, from that of the outcome and from its mean."""
    # The mean comes off within the product: one column more.
    values = ops.concatenate([value, -ops.ones_like(value[..., :1])], axis=-1)
    arrived = ops.concatenate([upstream, means], axis=-1)

    def piece(query, arrived, mask=None):
        weights = _weights(query, key, mask)
        scores = weights * ops.matmul(arrived, ops.swapaxes(values, -1, -2))
        # Products that the table enters as it lies in memory; what has to be turned is small.
        to_key = ops.swapaxes(ops.matmul(ops.swapaxes(query, -1, -2), scores), -1, -2)
        to_value = ops.swapaxes(ops.matmul(ops.swapaxes(arrived[..., :-1], -1, -2), weights), -1, -2)
        return [ops.matmul(scores, key), to_key, to_value]

    count = query.shape[1]
    if places == count:
        return piece(query, arrived, mask)
    shapes = [(query.shape[0], places, query.shape[-1]), key.shape, value.shape]
    to_query, to_key, to_value = in_turn(piece, _cut(places, query, arrived, mask), shapes)
    return [_joined(to_query, count), ops.sum(to_key, axis=0), ops.sum(to_value, axis=0)]


def _cut(places, *arrays):
    """`(…, n, size)` -> `(slices, …, places, size)` each but for what is `None`; the last slice is filled up."""

    def cut(x):
        count = math.ceil(x.shape[-2] / places)
        fill = [(0, 0)] * (len(x.shape) - 2) + [(0, count * places - x.shape[-2]), (0, 0)]
        # A mask's, too, with what sees nothing: its softmax is even, and nobody looks at it.
        x = ops.reshape(ops.pad(x, fill), (*x.shape[:-2], count, places, x.shape[-1]))
        return ops.moveaxis(x, -3, 0)

    return [cut(x) for x in arrays if x is not None]


def _joined(x, count):
    """The inverse of `_cut`."""
    x = ops.moveaxis(x, 0, -3)
    return ops.reshape(x, (*x.shape[:-3], -1, x.shape[-1]))[..., :count, :]
