"""One run of a sweep, in a process of its own: `python -m keras_booth.experiments.cell FOLDER`.

The folder has `cell.json`, which says all. The process trains, draws, measures, and leaves `scores.json`; it can be
killed at any moment and begun again, and ends when the process that began it does.
"""

import os
import pathlib
import signal
import sys
import threading

from keras_booth.tools.process.command import command
from keras_booth.tools.process.quiet import quiet_import


@command
def main(argv=None):
    """Does what the folder's `cell.json` says."""
    (folder,) = sys.argv[1:] if argv is None else argv
    if argv is None:
        ends_with_the_one_that_began_it()
    with quiet_import():
        from keras_booth.experiments.working import work
    work(pathlib.Path(folder))


def ends_with_the_one_that_began_it():
    """Has SIGTERM come when standard input ends: whoever holds its other end is gone, however it went."""

    def watch():
        # Not by `sys.stdin`, whose lock a thread that waits would hold when Python ends.
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
