"""TensorFlow without its chatter."""

import contextlib
import os
import shutil
import sys
import tempfile


@contextlib.contextmanager
def quiet_import():
    """Silences what TensorFlow's C++ side writes to stderr while it is imported, and its notices afterwards.

    `TF_CPP_MIN_LOG_LEVEL` alone leaves the lines that come before its logging is set up, so the file descriptor is
    turned away. Set that variable yourself to see everything. If the import fails, what was held back is shown.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        yield
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
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
