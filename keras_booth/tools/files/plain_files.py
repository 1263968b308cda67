"""Files that somebody else made, opened with care: no pipe, no device, no folder, and no more of it than is allowed."""

import os
import stat

from keras_booth.tools.annotations import FilePath
from keras_booth.tools.errors import InputError
from keras_booth.tools.files.reading import open_ordinary


def require_plain(
    path: FilePath, what: str = "The file", error: type[InputError] = InputError, field: str | None = None
) -> int:
    """Raises unless a path is a plain file: a pipe would wait for ever, a device never ends.

    Args:
        path: str or `Path`; a link counts as what it leads to.
        what: str, how the sentence begins.
        error: type of what is raised, a kind of `InputError`.
        field: str, where the user gave the path; `None` where it says itself what it is.

    Returns:
        int, the size of the file in bytes.

    Raises:
        InputError: if nothing is there, or it is a folder, a pipe or a device.
    """
    received = str(path) if field is None else f"{field}={path}"
    try:
        found = os.stat(path)
    except FileNotFoundError as reason:
        raise error(f"{what} is missing. Received: {received}") from reason
    # A NUL in a path is a ValueError.
    except (OSError, ValueError) as reason:
        text = getattr(reason, "strerror", None) or str(reason)
        raise error(f"{what} cannot be reached ({text}). Received: {received!r}") from reason
    if stat.S_ISDIR(found.st_mode):
        raise error(f"{what} is a folder, and must be a file. Received: {received}")
    if not stat.S_ISREG(found.st_mode):
        raise error(f"{what} is a pipe or a device, and must be a plain file. Received: {received}")
    return found.st_size


def read_bytes(
    path: FilePath,
    most: int,
    what: str = "The file",
    error: type[InputError] = InputError,
    field: str | None = None,
) -> bytes:
    """The content of a plain file.

    Args:
        path, what, error, field: see `require_plain`.
        most: int, the number of bytes that it may have.

    Raises:
        InputError: as `require_plain`, and for a file that is larger, or may not be read.
    """
    require_plain(path, what, error, field)
    received = str(path) if field is None else f"{field}={path}"
    try:
        with open_ordinary(path) as file:
            content = file.read(most + 1)
    except OSError as reason:
        raise error(f"{what} cannot be read ({reason.strerror}). Received: {received}") from reason
    if len(content) > most:
        raise error(f"{what} is larger than the {most / 1e6:g} MB that one of its kind may have. Received: {received}")
    return content
