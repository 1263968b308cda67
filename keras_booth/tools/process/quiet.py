"""Keras and TensorFlow as a command needs them: on a backend that is known, with Keras's own settings, and quiet."""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator

from keras_booth.tools.errors import InputError, sentence
from keras_booth.tools.process.backend import find_backend, keras_json, require_backend

QUIET = ("2", "3")  # of `TF_CPP_MIN_LOG_LEVEL`: errors alone, and not even those


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Loads Keras for a command, and settles what is the process's; the block does the other imports.

    Silences what TensorFlow's C++ side writes to stderr while it is imported, and its notices afterwards.
    `TF_CPP_MIN_LOG_LEVEL` alone leaves the lines that come before its logging is set up, so the file descriptor is
    turned away. Set that variable to 0 or 1 to see everything. If the import fails, what was held back is shown.

    Raises:
        InputError: for a backend or a `keras.json` that Keras or keras_booth cannot do with.
    """
    require_backend()
    with not_loaded({"jax", "torch"} - {find_backend()[0]}):
        if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", QUIET[0]) not in QUIET:
            import_keras()
            yield
        else:
            with _held_back():
                import_keras()
                yield


@contextlib.contextmanager
def not_loaded(names: Iterable[str]) -> Iterator[None]:
    """Has the imports of the block not find some packages, which what they import would load without need.

    TensorFlow loads JAX and KerasCV loads PyTorch where they are installed, for the sake of what no command uses: JAX
    is half a second and 0.1 GB.
    """
    kept_out = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(kept_out))
    try:
        yield
    finally:
        for name in kept_out:
            del sys.modules[name]


@contextlib.contextmanager
def _held_back():
    """What the block writes to stderr is shown if it fails, and not otherwise."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile("w+", errors="replace") as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
            if "tensorflow" in sys.modules:
                # The first look for a GPU complains where there is none, whatever the log level.
                sys.modules["tensorflow"].config.list_physical_devices()
        except BaseException:
            os.dup2(stderr, 2)
            held.seek(0)
            shutil.copyfileobj(held, sys.stderr)
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)


def import_keras() -> None:
    """Loads Keras with its own settings, and has the process keep the memory that is freed.

    The settings of a `keras.json` that was written for another project would change what a command draws. Half
    precision is asked for by `base.dtype`.
    """
    try:
        import keras
    except ValueError as error:
        raise InputError(f"Keras cannot use the settings in {keras_json()}: {sentence(error)}") from error
    if keras.config.dtype_policy().name == keras.config.floatx():
        keras.config.set_dtype_policy("float32")
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")
    keras.config.set_epsilon(1e-7)
    # It needs Keras, too.
    from keras_booth.tools.process.machine import keep_freed_memory

    keep_freed_memory()
