"""Paths as a user writes them."""

import os

from keras_booth.tools.errors import InputError


def expand_home(path: str | None, field: str = "path") -> str | None:
    """A path with `~` turned into the home folder, as shells do it; YAML files and `--flag=~/x` never meet a shell.

    Args:
        path: str, or `None`.
        field: str. What the path is, as the user names it.

    Raises:
        InputError: for the home of somebody whom the system does not know.
    """
    if not path or not path.startswith("~"):
        return path
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):
        raise InputError(
            f"{field} must begin with a home folder that is there; write ./{path} for a folder of that name. "
            f"Received: {field}={path}"
        )
    return expanded
