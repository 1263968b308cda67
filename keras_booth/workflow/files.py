"""Folders that are fresh, and names of files."""

import contextlib
import hashlib
import itertools
import os
import pathlib
import re
import shutil
import tempfile

import filelock

from keras_booth.tools.errors import InputError
from keras_booth.tools.files.leftovers import PART, remove_left
from keras_booth.tools.files.writing import disk_error
from keras_booth.workflow.training.same_photos import DIGESTS_FILE

LOCK_FILE = ".lock"
LONGEST_NAME = 255  # bytes; no common file system takes more
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
    received = f"Received: {field}={str(folder)!r}"
    folder = pathlib.Path(folder)
    try:
        if "\0" in str(folder):
            raise ValueError("a name holds no NUL")
        # `lstat` and no `exists`: a link that leads nowhere is in the way, too.
        nearest = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
        usable = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
        if usable and not shutil.disk_usage(nearest).total:
            # `/proc` and the like, or a disk of another machine that does not say its size.
            tempfile.TemporaryDirectory(dir=nearest).cleanup()
        for name in folder.absolute().relative_to(nearest.absolute()).parts:
            if len(os.fsencode(name)) > LONGEST_NAME:
                raise InputError(f"{field} must not have a name so long. {received}")
    except InputError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{field} must be a folder that can be made ({reason}). {received}") from error
    if not nearest.is_dir():
        what = "leads nowhere" if nearest.is_symlink() else "is a file"
        raise InputError(f"{field} must be a folder, but {nearest} {what}. {received}")
    if not usable:
        raise InputError(f"{field} must be writable, but {nearest} is not. {received}")


@contextlib.contextmanager
def working_in_fresh(path):
    """Makes the folder `path`, or `path-2`, `path-3`, … where it would mix with the files of another run, and gives the
    right to work in it, as `working_in` does.

    Of two runs that start at once each gets its own, also where the folder was there and empty. What a run left that
    was killed before it was one counts as nothing, and goes.

    Yields:
        `Path` of a folder that is empty but for the lock.
    """
    path = pathlib.Path(path)
    if path.name in ("", ".."):  # "." and "..", whose names stand elsewhere
        path = pathlib.Path(os.path.abspath(path))
    for number in itertools.count(1):
        if number > 1 and not path.name:
            raise InputError(f"The folder is taken, and has no name that a number could follow. Received: {path}")
        folder = path if number == 1 else path.with_name(f"{path.name}-{number}")
        if len(os.fsencode(folder.name)) > LONGEST_NAME:
            raise InputError(f"The folder is taken, and has no room for a number in its name. Received: {path}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
        if not folder.is_dir() or not is_fresh(folder):
            continue
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(working_in(folder, f"output.folder={path}"))
            except InputError:
                continue
            # Once more: another one may have been at work, and done, in between.
            if is_fresh(folder):
                (folder / DIGESTS_FILE).unlink(missing_ok=True)
                yield folder
                return


def is_fresh(folder):
    """Whether a folder holds nothing, or what is written before a folder is a run."""
    names = {entry.name for entry in folder.iterdir()}
    return all(name in (LOCK_FILE, DIGESTS_FILE) or PART.fullmatch(name) for name in names)


@contextlib.contextmanager
def working_in(folder, received):
    """The right to work on a run, for one process at a time; what killed ones were writing there goes.

    The system takes the lock away from a process that ends, however it ends; the file goes when the block ends.

    Args:
        folder: `Path` of the run folder.
        received: str. What the user asked for, for the sentence.

    Raises:
        InputError: if another process holds it.
        OSError: if the lock cannot be had, on a disk that is full.
    """
    lock = filelock.FileLock(folder / LOCK_FILE)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout as error:
        raise InputError(
            f"Another process is at work on this run; wait until it is done, or stop it. Received: {received}"
        ) from error
    except OSError as error:
        raise OSError(*disk_error(error), str(folder / LOCK_FILE)) from error
    try:
        remove_left(folder, alone=True)
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
