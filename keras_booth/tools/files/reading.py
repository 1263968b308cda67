"""The one way to open a file that somebody gave: an ordinary file, with no more in it than is stated."""

import errno
import os
import stat
from typing import BinaryIO

from keras_booth.tools.annotations import FilePath


def open_ordinary(path: FilePath) -> BinaryIO:
    """Opens a file to read bytes, and never waits for it.

    Args:
        path: str or `Path`.

    Raises:
        OSError: if the file cannot be opened, or is none: a folder; or a pipe, a socket or a device, which may never
            end.
    """
    try:
        file = open(path, "rb", opener=_without_waiting)
    except ValueError as error:
        raise OSError(errno.EINVAL, "a path has no NUL character", os.fspath(path)) from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is a pipe, a socket or a device, and no file", os.fspath(path))
    return file


def read_ordinary(path: FilePath, most: int) -> bytes:
    """The bytes of a file.

    Args:
        path: str or `Path`.
        most: int. How many bytes it may have.

    Raises:
        OSError: as `open_ordinary`, and if there are more.
    """
    with open_ordinary(path) as file:
        # One more than allowed, whatever the system says of the size: of files in /proc it says 0.
        content = file.read(most + 1)
    if content is None or len(content) > most:
        raise OSError(errno.EINVAL, f"it is larger than {size_text(most)}", os.fspath(path))
    return content


def size_text(size: int) -> str:
    """A limit of bytes, in words: "256 KiB"."""
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size >= unit:
            return f"{size / unit:g} {name}"
    return f"{size} bytes"


def _without_waiting(path, flags):
    # Without it, to open a pipe waits until somebody writes. Ordinary files do not mind; Windows does not have it.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
