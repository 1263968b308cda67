"""A process that watches over another one, which may be ended by force: what is left to say then, it says."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

PARENT = "KERAS_BOOTH_PARENT"  # who watches over this process
LOST = (
    "The command stopped: This process of the run was ended by signal {number}, most likely since another one is gone, "
    "or did not come within five minutes: go on from the last checkpoint with --resume and the run's folder, in all "
    "processes."
)


def is_supervised() -> bool:
    """Whether another process watches over this one."""
    return PARENT in os.environ


def supervise(name: str, flags: Sequence[str]) -> int:
    """Runs a command in a process of its own. JAX ends a process by force where one of its fellows is dead.

    Args:
        name: str, `"train"`.
        flags: sequence of str.

    Returns:
        int, the exit code.
    """
    line = [sys.executable, "-m", f"keras_booth.{name}", *flags]
    # A group of its own: Ctrl-C of a terminal comes through here, once.
    child = subprocess.Popen(line, env=os.environ | {PARENT: str(os.getpid())}, start_new_session=True)
    passed = []

    def pass_on(number, frame):
        passed.append(number)
        child.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)
    code = child.wait()
    if -code in passed:  # stopped before it could answer a signal itself: nobody else is to blame
        return 128 - code
    if code < 0:
        print(LOST.format(number=-code), file=sys.stderr)
        return 1
    return code


def end_with_parent() -> None:
    """Has this process end when the one that watches over it is gone, however that was ended."""
    parent = int(os.environ[PARENT])

    def watch():
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def leave(code: int) -> None:
    """Ends this process. After a failure JAX would wait for its fellows, which wait for this one."""
    if code and is_supervised():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
