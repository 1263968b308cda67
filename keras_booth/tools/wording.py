"""How sentences name things."""

import reprlib
from collections.abc import Sequence, Sized
from pathlib import Path
from typing import Any


def names(paths: Sequence[Path | str], limit: int = 8) -> str:
    """The names of files, the first ones of many."""
    shown = ", ".join(path.name if isinstance(path, Path) else path for path in paths[:limit])
    return shown if len(paths) <= limit else f"{shown} and {len(paths) - limit} more"


def plural(items: Sized, one: str, several: str) -> str:
    """The word for as many items."""
    return one if len(items) == 1 else several


def shown(value: Any, most: int = 80) -> str:
    """A value that somebody else wrote, as a sentence can show it: neither long nor deep.

    Args:
        value: anything.
        most: int, the number of letters from which on it is cut.
    """
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = most
    short.maxlevel = 3
    text = short.repr(value)
    return text if len(text) <= most else f"{text[:most]}..."
