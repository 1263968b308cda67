"""Token merging for Stable Diffusion (ToMe-SD, arXiv:2303.17604): self-attention over fewer tokens.

A feature map is cut into cells of 2x2. The top left token of each cell is a destination, the others are sources. The
sources that look most like a destination are averaged with it, attention runs over what is left, and each token gets
the result of the one it went into.

The reference draws the destination of each cell at random. Here it is always the same one, so that a picture stays a
function of its seed alone, whatever batch it is drawn in, and both halves of a batch doubled for guidance have the same
destinations. Like the reference, attention does not know how many tokens it sees as one.

All shapes follow from the feature map's size and the number of tokens to merge; values decide only what is in arrays.
"""

import numpy as np
from keras import ops


def count_merged(size, ratio):
    """Number of tokens that a ratio takes away.

    Args:
        size: (height, width) of the feature map.
        ratio: float in `[0, 0.75)`.

    Returns:
        int: `ratio` of all tokens, rounded down, and at most the number of sources. At odd sizes the last cells are cut
        off and have fewer.
    """
    height, width = size
    return min(int(height * width * ratio), len(split(size)[0]))


def split(size):
    """Sources and destinations of a feature map: two int arrays of positions in row order."""
    positions = np.arange(size[0] * size[1]).reshape(size)
    chosen = np.zeros(size, "bool")
    chosen[::2, ::2] = True
    return positions[~chosen], positions[chosen]


def match(tokens, size, merged):
    """Decide which tokens become one.

    Bipartite soft matching: of all sources the `merged` ones with the highest cosine similarity to any destination go
    into that destination. In float32, in any precision: a square is soon beyond float16, and bfloat16 makes ties.

    Args:
        tokens: float `(batch, height * width, channels)`. No gradient flows through the decision.
        size: (height, width).
        merged: int in `[1, sources]`.

    Returns:
        int32 `(batch, height * width)` in `[0, height * width - merged)`: the group of each token, for `merge` and
        `unmerge`. Each group holds one source alone, or one destination and what goes into it.
    """
    sources, destinations = split(size)
    alone = len(sources) - merged
    directions = normalize(ops.cast(ops.stop_gradient(tokens), "float32"))
    similarity = ops.matmul(
        ops.take(directions, sources, axis=1), ops.transpose(ops.take(directions, destinations, axis=1), (0, 2, 1))
    )
    # Sorting twice gives each source its place in the order, of which the first stay alone.
    place = ops.cast(ops.argsort(ops.argsort(ops.max(similarity, axis=-1))), "int32")
    nearest = ops.cast(ops.argmax(similarity, axis=-1), "int32")
    of_sources = ops.where(place < alone, place, alone + nearest)
    own = np.arange(alone, alone + len(destinations), dtype="int32")
    of_destinations = ops.zeros_like(place[:, :1]) + own
    back = np.argsort(np.concatenate([sources, destinations]))
    return ops.take(ops.concatenate([of_sources, of_destinations], axis=1), back, axis=1)


def normalize(x):
    """float32 `(..., channels)` -> the same at length 1; zeros stay zeros."""
    return x * ops.rsqrt(ops.maximum(ops.sum(ops.square(x), axis=-1, keepdims=True), 1e-12))


def merge(tokens, groups, merged):
    """The mean of each group.

    Args:
        tokens: float `(batch, length, channels)`.
        groups: int32 `(batch, length)`, of `match`.
        merged: int, as `match` was given.

    Returns:
        `(batch, length - merged, channels)` of the dtype of `tokens`; summed up in float32.
    """
    count, channels = tokens.shape[1] - merged, tokens.shape[2]
    rows = rows_of(groups, count)
    flat = ops.reshape(ops.cast(tokens, "float32"), (-1, channels))
    total = ops.shape(tokens)[0] * count
    sums = ops.segment_sum(flat, rows, num_segments=total)
    sizes = ops.segment_sum(ops.ones_like(flat[:, :1]), rows, num_segments=total)
    return ops.cast(ops.reshape(sums / sizes, (-1, count, channels)), tokens.dtype)


def unmerge(tokens, groups):
    """Give every token what its group has.

    Args:
        tokens: float `(batch, length - merged, channels)`.
        groups: int32 `(batch, length)`, of `match`.

    Returns:
        `(batch, length, channels)` of the dtype of `tokens`.
    """
    count, channels = tokens.shape[1:]
    # In float32 for the backward pass, which sums up the gradients of a group.
    flat = ops.reshape(ops.cast(tokens, "float32"), (-1, channels))
    spread = ops.take(flat, rows_of(groups, count), axis=0)
    return ops.cast(ops.reshape(spread, (-1, groups.shape[1], channels)), tokens.dtype)


def rows_of(groups, count):
    """Groups within each sample -> groups within the whole batch: int32 `(batch * length,)`."""
    first = count * ops.arange(ops.shape(groups)[0], dtype="int32")
    return ops.reshape(groups + first[:, None], (-1,))
