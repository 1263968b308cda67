"""A disk that is full, without one: a limit of the size of files."""

import contextlib
import resource


@contextlib.contextmanager
def files_of_at_most(size):
    """Has the system refuse to let any file grow beyond `size` bytes for the time of a block."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
