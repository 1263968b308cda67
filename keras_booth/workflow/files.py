"""Folders that are fresh, and names of files."""

import contextlib
import hashlib
import itertools
import os
import pathlib
import re

import filelock

from keras_booth.tools.errors import InputError

LOCK_FILE = ".lock"
# Names that Windows keeps for devices, whatever follows the dot.
RESERVED = re.compile(r"con|prn|aux|nul|(com|lpt)[0-9¹²³]", re.IGNORECASE)
# Plain words, of which the last does not look like a digest.
EXACT = re.compile(r"(?:[a-z0-9_]+ )*(?![0-9a-f]{8}$)[a-z0-9_]+")


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
    """Makes the folder `path`, or `path-2`, `path-3`, … where it would mix with the files of another run.

    The folder is claimed by the file `.lock` in it, which one process alone can make: of two runs that start at once
    each gets its own, also where the folder was there and empty.

    Returns:
        `Path` of a folder that is empty but for the claim.
    """
    path = pathlib.Path(path)
    for number in itertools.count(1):
        folder = path if number == 1 else path.with_name(f"{path.name}-{number}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
        if folder.is_dir() and not any(folder.iterdir()):
            with contextlib.suppress(FileExistsError):
                (folder / LOCK_FILE).touch(exist_ok=False)
                return folder


@contextlib.contextmanager
def working_in(folder, received):
    """The right to work on a run, for one process at a time.

    The system takes the lock away from a process that ends, however it ends; the file goes when the block ends.

    Args:
        folder: `Path` of the run folder.
        received: str. What the user asked for, for the sentence.

    Raises:
        InputError: if another process holds it.
    """
    lock = filelock.FileLock(folder / LOCK_FILE)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        raise InputError(
            f"Another process is at work on this run; wait until it is done, or stop it. Received: {received}"
        ) from error
    try:
        yield
    finally:
        # Away while it is still held, so that it cannot be the lock of another; on Windows `release` deletes it.
        with contextlib.suppress(OSError):
            os.unlink(folder / LOCK_FILE)
        lock.release()


def slug(text, limit=60):
    """A file name made of `text`: lower case words joined by dashes, in at most twice `limit` bytes.

    A text that had to be cut gets a digest, so that two long prompts with one beginning get two names. Other texts may
    share a name; see `stem`.
    """
    name = "-".join(re.findall(r"\w+", text.lower())) or "picture"
    if len(name) > limit or len(name.encode(errors="replace")) > 2 * limit:
        short = name[: limit - 5].encode(errors="replace")[: 2 * limit - 5].decode(errors="ignore")
        name = f"{short.rstrip('-')}-{digest(text, 2)}"
    return f"{name}_" if RESERVED.fullmatch(name) else name


def stem(text):
    """A file name made of `text` that no other text has, on disks that do not tell upper from lower case, too.

    It is the slug; with a digest where the slug does not say the text to the letter.
    """
    name = slug(text)
    exact = EXACT.fullmatch(text) and name == text.replace(" ", "-")
    return name if exact else f"{name}-{digest(text)}"


def digest(text, size=4):
    """Hexadecimal digest of a text."""
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=size).hexdigest()
