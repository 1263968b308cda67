"""How sentences name things."""

from collections.abc import Sequence, Sized
from pathlib import Path


def names(paths: Sequence[Path | str], limit: int = 8) -> str:
    """The names of files, the first ones of many."""
    shown = ", ".join(path.name if isinstance(path, Path) else path for path in paths[:limit])
    return shown if len(paths) <= limit else f"{shown} and {len(paths) - limit} more"


def plural(items: Sized, one: str, several: str) -> str:
    """The word for as many items."""
    return one if len(items) == 1 else several


def shown(value: object, most: int = 200) -> str:
    """A value as a sentence shows it: the beginning of a long one, with what a terminal would obey spelled out."""
    text = value if isinstance(value, str) else repr(value)
    text = text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
