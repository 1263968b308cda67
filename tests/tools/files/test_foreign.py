"""Whatever a parser of another project throws is a sentence; what is ours, or the machine's, stays what it is."""

import errno
import struct

import pytest

from keras_booth.tools.errors import CheckpointError, InputError
from keras_booth.tools.files.foreign import parsing


def thrown(error):
    with parsing(lambda reason: CheckpointError(f"The file is damaged ({reason}). Received: x")):
        raise error


@pytest.mark.parametrize(
    "error",
    [struct.error("a\n b"), RecursionError("a b"), OSError("a b"), AttributeError("a b"), OSError(errno.EINVAL, "a b")],
    ids=lambda error: type(error).__name__,
)
def test_of_the_file(error):
    with pytest.raises(CheckpointError, match=r"The file is damaged \(.*a b\). Received: x") as caught:
        thrown(error)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [
        InputError("ours"),
        MemoryError(),
        OSError(errno.EIO, "no good"),
        OSError(errno.EMFILE, "many"),
        KeyboardInterrupt(),
    ],
    ids=repr,
)
def test_of_others(error):
    with pytest.raises(type(error)) as caught:
        thrown(error)
    assert caught.value is error


def test_nothing_said():
    with pytest.raises(CheckpointError, match=r"\(ValueError\)"):
        thrown(ValueError())
