"""Paths as a user writes them."""

import os
import pathlib

from keras_booth.tools.annotations import FilePath
from keras_booth.tools.errors import InputError
from keras_booth.tools.wording import shown

# What Linux, and nearly every disk, takes; the system itself would say it where a file is opened, not of which field.
MOST_PATH, MOST_NAME = 4096, 255
OWN_CACHE = "KERAS_BOOTH_CACHE"


def cache_folder() -> pathlib.Path:
    """Folder of what can be made or fetched again: `$KERAS_BOOTH_CACHE`, or `~/.cache/keras_booth`."""
    own = os.environ.get(OWN_CACHE)
    return pathlib.Path(expand_home(own) if own else pathlib.Path.home() / ".cache" / "keras_booth")


def expand_home(path: str | None, field: str = "path") -> str | None:
    """A path with `~` turned into the home folder, as shells do it; YAML files and `--flag=~/x` never meet a shell.

    Args:
        path: str, or `None`.
        field: str. What the path is, as the user names it.

    Raises:
        InputError: for the home of somebody whom the system does not know; and as `check_path`.
    """
    if path:
        check_path(path, field)
    if not path or not path.startswith("~"):
        return path
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        raise InputError(
            f"{field} must begin with a home folder that is there; write ./{path} for a folder of that name. "
            f"Received: {field}={path}"
        )
    return expanded


def check_path(path: FilePath, field: str) -> None:
    """Raises an `InputError` that names the field, unless something could have such a path.

    Args:
        path: str or `Path`.
        field: str. What the path is, as the user names it.
    """
    text = os.fspath(path)
    try:
        name = max(map(len, os.fsencode(text).replace(os.fsencode(os.sep), b"/").split(b"/")))
        reason = "a path without NUL characters" if "\0" in text else ""
    except UnicodeEncodeError:
        name, reason = 0, "a path in UTF-8"
    if not reason and (name > MOST_NAME or len(os.fsencode(text)) > MOST_PATH):
        reason = f"a path of {MOST_PATH} bytes at most, with names of {MOST_NAME} at most"
    if reason:
        raise InputError(f"{field} must be {reason}. Received: {field}={shown(text)}")
