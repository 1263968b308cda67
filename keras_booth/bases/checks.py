"""Checks that the configs of the parts share."""


def check_widths(widths):
    """Raise a `ValueError` unless KerasCV's group norms, of 32 groups, fit the widths of all levels."""
    if not widths or any(not isinstance(width, int) or width < 32 or width % 32 for width in widths):
        raise ValueError(
            f"widths (block_out_channels in diffusers) must be multiples of 32. Received: widths={list(widths)}"
        )


def check_count(field, theirs, value):
    """Raise a `ValueError` unless `value` is an int of at least 1.

    Args:
        field: str. Our name of the field.
        theirs: str. Its name in diffusers.
        value: what was received.
    """
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{field} ({theirs} in diffusers) must be an int >= 1. Received: {field}={value!r}")


def check_heads(heads, width):
    """Raise a `ValueError` unless the heads share the width evenly."""
    if width % heads:
        raise ValueError(f"The number of attention heads must divide the width. Received: heads={heads}, width={width}")
