"""The one way to write a file or a folder: it is there whole or not at all."""

import contextlib
import errno
import io
import os
import pathlib
import shutil
from collections.abc import Iterator

from safetensors import SafetensorError

from keras_booth.tools.annotations import FilePath
from keras_booth.tools.errors import InputError
from keras_booth.tools.reading import read_ordinary

# Of a text that somebody wrote; where files are larger, or smaller, the limit is given.
MOST_TEXT = 16 * 2**20


@contextlib.contextmanager
def whole_file(path: FilePath) -> Iterator[pathlib.Path]:
    """Gives a temporary name beside `path`, which becomes `path` when the block ends well and vanishes when not.

    The file gets the mode that the process's umask says, whatever the library that wrote it made of it (safetensors
    writes 0600).

    Args:
        path: str or `Path` of the file; or of a folder, which must not be there yet, or be empty.

    Yields:
        `Path` to write, with the same suffix.

    Raises:
        OSError: if it cannot be written (a full disk), with `filename` the path that was meant.
    """
    path = pathlib.Path(path)
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
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
def writing(path: FilePath) -> Iterator[None]:
    """What libraries raise when a file cannot be written, as an `OSError` that names the file that was meant."""
    try:
        yield
    except SafetensorError as error:
        # It is no OSError, and says what the system said in its message alone.
        full = "No space left" in str(error) or "StorageFull" in str(error)
        number = errno.ENOSPC if full else errno.EIO
        raise OSError(number, os.strerror(number) if full else str(error), str(path)) from error
    except OSError as error:
        full = error.errno == errno.ENOSPC or "No space left" in str(error) or "errno = 28" in str(error)
        number = errno.ENOSPC if full else error.errno or errno.EIO
        raise OSError(number, os.strerror(number) if full else error.strerror or str(error), str(path)) from error


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
