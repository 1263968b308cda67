"""Names of what is half-written, which say whose it is: what a killed process left behind is found and removed."""

import contextlib
import functools
import hashlib
import itertools
import os
import pathlib
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator

import psutil

from keras_booth.tools.annotations import FilePath

OWNER = r"(?P<place>[0-9a-f]{8})-(?P<pid>\d+)-(?P<began>\d+)"
PART = re.compile(rf"\..*\.{OWNER}-\d+\.part(\.[^.]*)?", re.DOTALL)
# What earlier versions called them; whether their process is alive cannot be told.
OLDER_PART = re.compile(r"\..*\.\d+\.part(\.[^.]*)?", re.DOTALL)
TEMPORARY = re.compile(rf"keras_booth-{OWNER}")
# Seconds by which the clock may have been set since a process began, and after which what another machine (or
# container) was writing has been given up: it is not known whether its process is alive.
CLOCK, GIVEN_UP = 60, 24 * 3600
LONGEST_STEM, LONGEST_SUFFIX = 100, 20  # bytes, characters: most systems take names of 255 bytes

_numbers = itertools.count()
_looked_through = set()


def part_path(path: FilePath) -> pathlib.Path:
    """A name beside `path` for the time in which it is written, with the same suffix; each call gives another one."""
    path = pathlib.Path(path)
    stem = os.fsencode(path.stem)[:LONGEST_STEM].decode(errors="ignore")
    suffix = path.suffix if len(path.suffix) <= LONGEST_SUFFIX else ""
    return path.with_name(f".{stem}.{owner()}-{next(_numbers)}.part{suffix}")


def owner() -> str:
    """Says of which process something is: its machine, its number, when it began."""
    pid = os.getpid()
    return f"{_place()}-{pid}-{_began(pid)}"


def is_left(name: str, touched: float, pattern: re.Pattern[str] = PART) -> bool:
    """Whether a name is that of something half-written whose process has ended.

    Args:
        name: str.
        touched: float. When it was written to for the last time, in seconds since the epoch.
        pattern: `PART` or `TEMPORARY`.
    """
    found = pattern.fullmatch(name)
    if not found:
        return False
    if found["place"] != _place():
        return time.time() - touched > GIVEN_UP
    try:
        return abs(_began(int(found["pid"])) - int(found["began"])) > CLOCK
    except (psutil.NoSuchProcess, OverflowError):
        return True
    except psutil.Error:
        return False


def remove_left(folder: FilePath, alone: bool = False) -> None:
    """Removes what killed processes were writing in a folder.

    Args:
        folder: str or `Path`. Need not exist.
        alone: bool. Whether nobody else may be writing there, as in a run folder that is locked: then what is of other
            processes goes whatever they are, in the folders below, too.
    """
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in list(entries):
            with contextlib.suppress(OSError):
                here = entry.is_dir(follow_symlinks=False)
                if alone:
                    named = PART.fullmatch(entry.name) or OLDER_PART.fullmatch(entry.name)
                    left = named and owner() not in entry.name
                else:
                    left = is_left(entry.name, entry.stat(follow_symlinks=False).st_mtime)
                if left:
                    _remove(entry.path, here)
                elif alone and here:
                    remove_left(entry.path, alone=True)


def remove_left_once(folder: FilePath) -> None:
    """`remove_left`, the first time that this process writes into a folder."""
    key = os.getpid(), os.path.abspath(folder)
    if key not in _looked_through:
        _looked_through.add(key)
        remove_left(folder)


@contextlib.contextmanager
def own_temporary_folder() -> Iterator[None]:
    """Has all temporary files of the process lie in one folder, whoever makes them; removes it, and those of processes
    that were killed. Where there is no folder for temporary files this is not the place to complain."""
    before = tempfile.tempdir
    folder = None
    with contextlib.suppress(OSError):
        place = pathlib.Path(tempfile.gettempdir())
        with os.scandir(place) as entries:
            for entry in entries:
                if is_left(entry.name, entry.stat(follow_symlinks=False).st_mtime, TEMPORARY):
                    _remove(entry.path, entry.is_dir(follow_symlinks=False))
        own = place / f"keras_booth-{owner()}"
        own.mkdir(mode=0o700)
        tempfile.tempdir, folder = str(own), own
    try:
        yield
    finally:
        tempfile.tempdir = before
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _remove(path, folder):
    if folder:
        shutil.rmtree(path, ignore_errors=True)
    else:
        os.unlink(path)


@functools.cache
def _place():
    """A digest of what the numbers of processes hold for: the machine, and on Linux the container."""
    try:
        inside = os.readlink("/proc/self/ns/pid")
    except OSError:
        inside = ""
    return hashlib.blake2b(f"{socket.gethostname()} {inside}".encode(errors="replace"), digest_size=4).hexdigest()


def _began(pid):
    return int(psutil.Process(pid).create_time())
