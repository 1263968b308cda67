"""Folders that are fresh, and names of files."""

import contextlib
import hashlib
import itertools
import os
import pathlib
import re

from keras_booth.tools.errors import InputError


def check_writable(folder, field):
    """Raises an `InputError` unless `folder` could be made and written. Makes nothing.

    Args:
        folder: str or `Path`. Need not exist.
        field: str. Name of the field that it comes from.
    """
    folder = pathlib.Path(folder)
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise InputError(f"{field} must be a folder, but {nearest} is a file. Received: {field}={str(folder)!r}")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"{field} must be writable, but {nearest} is not. Received: {field}={str(folder)!r}")


def fresh_folder(path):
    """Makes the folder `path`, or `path-2`, `path-3`, … where it would mix with the files of an earlier run.

    Returns:
        `Path` of an empty folder.
    """
    path = pathlib.Path(path)
    for number in itertools.count(1):
        folder = path if number == 1 else path.with_name(f"{path.name}-{number}")
        if folder.is_dir() and not any(folder.iterdir()):
            return folder
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder


def slug(text, limit=60):
    """A file name made of `text`: lower case words joined by dashes.

    A text that had to be cut gets a digest, so that two long prompts with one beginning get two names.
    """
    name = "-".join(re.findall(r"\w+", text.lower())) or "picture"
    if len(name) > limit:
        name = f"{name[: limit - 5].rstrip('-')}-{hashlib.blake2b(text.encode(), digest_size=2).hexdigest()}"
    return name
