"""The one way to write a file or a folder: it is there whole or not at all."""

import contextlib
import errno
import io
import math
import os
import pathlib
import re
import shutil
from collections.abc import Iterator, Mapping

from safetensors import SafetensorError

from keras_booth.tools.annotations import FilePath
from keras_booth.tools.errors import InputError
from keras_booth.tools.files.leftovers import part_path, remove_left_once
from keras_booth.tools.files.reading import read_ordinary

# What a disk does, as opposed to a path that is wrong: any of these in an error, or in what led to it, is the disk's.
FULL = (errno.ENOSPC, errno.EDQUOT)
DISK = (*FULL, errno.EFBIG, errno.EIO, errno.EROFS)
# Of a text that somebody wrote; where files are larger, or smaller, the limit is given.
MOST_TEXT = 16 * 2**20


@contextlib.contextmanager
def whole_file(path: FilePath) -> Iterator[pathlib.Path]:
    """Gives a temporary name beside `path`, which becomes `path` when the block ends well and vanishes when not.

    The file gets the mode that the process's umask says, whatever the library that wrote it made of it (safetensors
    writes 0600). What a process was writing when it was killed is removed by the next one that writes into the folder.

    Args:
        path: str or `Path` of the file; or of a folder, which must not be there yet, or be empty.

    Yields:
        `Path` to write, with the same suffix.

    Raises:
        OSError: if it cannot be written (a full disk), with `filename` the path that was meant.
    """
    path = pathlib.Path(path)
    part = part_path(path)
    remove_left_once(path.parent)
    try:
        with writing(path):
            yield part
            if part.is_file():
                part.chmod(0o666 & ~umask())
            elif path.is_dir():
                path.rmdir()
            part.replace(path)
    finally:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def scratch_folder(path: FilePath) -> Iterator[pathlib.Path]:
    """A folder beside `path`, for what is needed while it is written; it vanishes when the block ends."""
    folder = part_path(path)
    try:
        with writing(path):
            folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def writing(path: FilePath) -> Iterator[None]:
    """What libraries raise when a file cannot be written, as an `OSError` that names the file that was meant."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        found = disk_error(error)
        if found is None:
            raise
        raise OSError(*found, str(path)) from error


def disk_error(error: BaseException) -> tuple[int, str] | None:
    """What the disk or the system said when a file could not be written: `(errno, text)`; `None` for another error.

    safetensors' error is no `OSError`, h5py raises `RuntimeError` when it closes a file, TensorFlow has errors of its
    own, and zipfile stumbles over the member that it could not finish: the disk's word is in the text, or in what came
    before.
    """
    if isinstance(error, OSError):
        number = error.errno or _said(str(error)) or errno.EIO
        return number, os.strerror(number) if error.errno or number in DISK else str(error)
    number = _said(str(error))
    if number in DISK:
        return number, os.strerror(number)
    if isinstance(error, SafetensorError):
        return number or errno.EIO, os.strerror(number) if number else str(error)
    before = error.__cause__ or error.__context__
    found = disk_error(before) if before is not None else None
    return found if found and found[0] in DISK else None


def _said(text):
    """The system's number of an error that is told as text."""
    if re.search(r"\d+ requested and \d+ written", text):  # NumPy
        return errno.ENOSPC
    numbered = re.search(r"\b(?:errno = |os error |Errno )(\d+)", text)
    return int(numbered[1]) if numbered else next((number for number in DISK if os.strerror(number) in text), None)


def room(folder: FilePath) -> float:
    """Free bytes of the disk on which a folder is, or will be; infinite where the disk does not say it."""
    folder = pathlib.Path(folder).absolute()
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    usage = shutil.disk_usage(nearest)
    return usage.free if usage.total else math.inf


def require_room(folder: FilePath, parts: Mapping[str, float], advice: str = "make room") -> None:
    """Raises an `OSError` where the disk has clearly not the room for what is to be written.

    Args:
        folder: str or `Path`. Need not exist.
        parts: dict of bytes, by what they are.
        advice: str, what else to do.
    """
    needed, there = sum(parts.values()), room(folder)
    if needed > there:
        listed = ", ".join(f"{what} {_size(size)}" for what, size in parts.items() if size)
        text = f"Not enough room on the disk: about {_size(needed)} are needed ({listed}), {_size(there)} are free"
        raise OSError(f"{text}; {advice}. Received: {folder}")


def _size(count):
    return f"{count / 1e9:,.1f} GB" if count >= 1e8 else f"{count / 1e6:,.1f} MB"


def umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def write_text(path: FilePath, text: str) -> None:
    """Writes a text file in UTF-8."""
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


def read_text(path: FilePath, field: str, error: type[InputError] = InputError, most: int = MOST_TEXT) -> str:
    """Reads a text file that a user wrote: UTF-8, with or without a byte order mark (Windows' editors write one).

    Args:
        path: str or `Path`.
        field: str. What the file is, as the user names it: `"prompt_file"`.
        error: type of what is raised, a kind of `InputError`.
        most: int. How many bytes the file may have.

    Raises:
        InputError: if the file is missing, cannot be opened, is no ordinary file, is too large, or is not UTF-8.
    """
    try:
        content = read_ordinary(path, most).decode("utf-8-sig")
        return io.StringIO(content, newline=None).read()  # line ends as Python's own reading makes them
    except UnicodeDecodeError as reason:
        raise error(f"{field} must be text in UTF-8: save it as such ({reason}). Received: {field}={path}") from reason
    except OSError as reason:
        raise error(f"{field} cannot be read ({reason.strerror}). Received: {field}={path}") from reason
