"""Disks that are full: a limit of the size of files, and a disk in memory."""

import contextlib
import resource
import shutil
import subprocess

import pytest


@contextlib.contextmanager
def files_of_at_most(size):
    """Has the system refuse to let any file grow beyond `size` bytes for the time of a block."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class SmallDisk:
    """A disk of some kilobytes in memory.

    Args:
        folder: `Path`, where it is mounted; made when it is not there.
        size: int, kilobytes.
    """

    def __init__(self, folder, size):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self._mount(f"size={size}k")

    def resize(self, size):
        """Gives it another number of kilobytes."""
        self._mount(f"remount,size={size}k")

    def fill(self, left=0):
        """Has no more than `left` bytes be free."""
        filler = self.folder / "filler"
        filler.unlink(missing_ok=True)
        free = shutil.disk_usage(self.folder).free - left
        filler.write_bytes(bytes(max(free, 0)))

    def _mount(self, options):
        line = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)]
        if not shutil.which("mount") or subprocess.run(line, capture_output=True).returncode:
            pytest.skip("a disk in memory cannot be mounted here")


@contextlib.contextmanager
def small_disk(folder, size):
    """A `SmallDisk` for the time of a block; the test is skipped where none can be had."""
    disk = SmallDisk(folder, size)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
