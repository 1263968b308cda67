"""What parsers of other projects throw at a file of any content, as one sentence."""

import contextlib
import errno
from collections.abc import Callable, Iterator

from keras_booth.tools.errors import InputError

# Whatever is in the file: a disk that fails, too many open files, no memory.
MACHINE = (errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def shown_reason(reason: BaseException, most: int = 160) -> str:
    """What a parser of another project said, on one line of a decent length."""
    text = " ".join(str(reason).split()) or type(reason).__name__
    return text if len(text) <= most else f"{text[:most]} ..."


@contextlib.contextmanager
def parsing(
    said: Callable[[str], InputError], reason_of: Callable[[BaseException], str] = shown_reason
) -> Iterator[None]:
    """Has whatever a parser throws end in one sentence.

    A flipped bit has zipfile, HDF5, NumPy, Pillow or a JSON parser raise anything, so that no list of kinds is whole.
    The block should hold their calls and little else: a fault of ours in it would be taken for one of the file. Our own
    sentences pass, and what is the machine's fault.

    Args:
        said: callable that makes the error of the reason, as a text.
        reason_of: callable that makes a text of what was thrown.

    Raises:
        InputError: the one that `said` makes.
    """
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as reason:
        if isinstance(reason, OSError) and reason.errno in MACHINE:
            raise
        raise said(reason_of(reason)) from reason
