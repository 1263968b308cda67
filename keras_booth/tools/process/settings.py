"""Keras's global settings, which a base must not depend on: `keras.json` may be of another project."""

import contextlib
import threading
from collections.abc import Iterator

import keras

# Held while something is built under settings of the process: another thread would build under them, too.
BUILDING = threading.RLock()


def default_policy() -> str:
    """Name of the dtype policy that is meant where none is said: the global one, if somebody set it.

    One that only follows `floatx`, which a `keras.json` may say, is not: bases are float32 by default.
    """
    name = keras.config.dtype_policy().name
    return "float32" if name == keras.config.floatx() else name


@contextlib.contextmanager
def channels_last() -> Iterator[None]:
    """Layers that are made inside have their channels last, whatever Keras's global setting."""
    with BUILDING:
        before = keras.config.image_data_format()
        keras.config.set_image_data_format("channels_last")
        try:
            yield
        finally:
            keras.config.set_image_data_format(before)
