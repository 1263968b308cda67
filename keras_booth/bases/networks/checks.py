"""Checks that the configs of the parts share."""

import numbers
from collections.abc import Sequence
from typing import Any

from keras_booth.tools.errors import InputError

# What a config may ask for at most, far beyond all Stable Diffusions: to build more takes minutes, whatever its width.
MOST_LEVELS = 8
MOST_BLOCKS = 16  # of a level
MOST_LAYERS = 256  # of a text encoder
MOST_TOKENS = 4096  # of a prompt; the text encoder keeps a mask of the square of it


def check_widths(widths):
    """Raise an `InputError` unless KerasCV's group norms, of 32 groups, fit the widths of all levels."""
    if not 1 <= len(widths) <= MOST_LEVELS:
        raise InputError(
            f"widths (block_out_channels in diffusers) must be those of 1 to {MOST_LEVELS} levels. "
            f"Received: {len(widths)} widths"
        )
    if any(not isinstance(width, int) or width < 32 or width % 32 for width in widths):
        raise InputError(
            f"widths (block_out_channels in diffusers) must be multiples of 32. Received: widths={list(widths)}"
        )


def check_count(field, theirs, value, most=None):
    """Raise an `InputError` unless `value` is an int of at least 1.

    Args:
        field: str. Our name of the field.
        theirs: str. Its name in diffusers.
        value: what was received.
        most: int, the largest one; `None` for no limit.
    """
    if not isinstance(value, int) or value < 1:
        raise InputError(f"{field} ({theirs} in diffusers) must be an int >= 1. Received: {field}={value!r}")
    if most is not None and value > most:
        raise InputError(f"{field} ({theirs} in diffusers) must be at most {most}. Received: {field}={value}")


def check_groups(groups, widths):
    """Raise an `InputError` unless the groups of the group norms share all widths evenly."""
    check_count("groups", "norm_num_groups", groups)
    if any(width % groups for width in widths):
        raise InputError(
            f"groups (norm_num_groups in diffusers) must divide all widths. "
            f"Received: groups={groups}, widths={list(widths)}"
        )


def check_heads(heads, width):
    """Raise an `InputError` unless the heads share the width evenly."""
    check_count("heads", "num_attention_heads", heads)
    if width % heads:
        raise InputError(f"The number of attention heads must divide the width. Received: heads={heads}, width={width}")


def check_merging(ratio: Any, levels: Any, heads: Sequence[int]) -> None:
    """Raise an `InputError` unless this share of tokens can be merged on that many levels.

    Args:
        ratio, levels: what was received.
        heads: tuple of int, the attention heads of all levels, of the highest resolution first.
    """
    if not isinstance(ratio, numbers.Real) or not 0 <= ratio < 0.75:
        raise InputError(
            f"`ratio` must be in [0, 0.75): one token of each 2x2 cell is never merged. Received: ratio={ratio!r}"
        )
    if not isinstance(levels, int) or not 1 <= levels <= len(heads):
        raise InputError(f"`levels` must be an int in [1, {len(heads)}]. Received: levels={levels!r}")
    # The block in the middle, which always attends, is on the lowest level.
    first = next((level for level, count in enumerate(heads, start=1) if count), len(heads))
    if ratio and levels < first:
        raise InputError(f"`levels` must be >= {first}, where this UNet's attention begins. Received: levels={levels}")
