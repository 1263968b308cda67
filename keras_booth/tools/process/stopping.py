"""How a process is stopped from outside: Ctrl-C, and SIGTERM as Slurm and `docker stop` send it."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any, NoReturn


class Terminated(KeyboardInterrupt):
    """The process was asked to end by SIGTERM; ends all that Ctrl-C ends."""


@contextlib.contextmanager
def heeding_sigterm() -> Iterator[None]:
    """SIGTERM raises `Terminated` for the time of a block; once, so that what it ends can end in peace.

    Nothing changes outside of the main thread, or where the program around has a handler of its own.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(number: int, frame: Any) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Terminated


class Postponed:
    """Ctrl-C and SIGTERM that wait while `busy` is set, until `come` is called; a second one does not wait.

    As a context manager it takes the place of the handlers that are there, and gives it back. Signals that are ignored
    stay ignored.
    """

    def __init__(self):
        self.busy = False
        self._waiting = None
        self._handlers = {}

    def __enter__(self) -> "Postponed":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                handler = signal.getsignal(number)
                if callable(handler) and not isinstance(handler, signal.Handlers):
                    self._handlers[number] = handler
                    signal.signal(number, self._note)
        return self

    def __exit__(self, *args: object) -> None:
        for number, handler in self._handlers.items():
            # SIGTERM is ignored once it has come.
            if signal.getsignal(number) == self._note:
                signal.signal(number, handler)

    @property
    def waits(self) -> bool:
        """Whether one has come that waits."""
        return self._waiting is not None

    def come(self) -> None:
        """The step is whole: what waited comes now."""
        self.busy = False
        if self._waiting is not None:
            number, self._waiting = self._waiting, None
            self._handlers[number](number, None)

    def _note(self, number, frame):
        if self.busy and self._waiting is None:
            self._waiting = number
        else:
            self._handlers[number](number, frame)
