import os
import signal

import pytest

from keras_booth.tools.process.command import command
from keras_booth.tools.process.stopping import Postponed, Terminated, heeding_sigterm


@pytest.fixture(autouse=True)
def handlers():
    """As in a process of its own; a shell that runs the tests in the background has them ignore Ctrl-C."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def stop(number=signal.SIGTERM):
    os.kill(os.getpid(), number)
    # Python calls handlers between two bytecodes.
    for _ in range(1000):
        pass


def test_a_command_ends_with_143(capsys):
    assert command(lambda argv: stop())([]) == 143
    assert capsys.readouterr().err == "Stopped.\n"
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_what_ends_ends_in_peace():
    with pytest.raises(Terminated), heeding_sigterm():
        try:
            stop()
        finally:
            stop()


def test_a_handler_of_the_program_around_stays():
    heard = []
    signal.signal(signal.SIGTERM, lambda *args: heard.append(args[0]))
    with heeding_sigterm():
        stop()
    assert heard == [signal.SIGTERM]


class TestPostponed:
    @pytest.mark.parametrize("number, error", [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
    def test_waits_while_busy(self, number, error):
        steps = []
        with heeding_sigterm(), Postponed() as postponed:
            postponed.busy = True
            stop(number)
            steps.append("whole")
            with pytest.raises(error):
                postponed.come()
        assert steps == ["whole"] and not postponed.busy
        assert signal.getsignal(signal.SIGINT) == signal.default_int_handler

    def test_a_second_one_does_not_wait(self):
        with Postponed() as postponed:
            postponed.busy = True
            stop(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                stop(signal.SIGINT)

    def test_not_busy(self):
        with Postponed() as postponed, pytest.raises(KeyboardInterrupt):
            postponed.come()
            stop(signal.SIGINT)

    def test_what_is_ignored_stays_ignored(self):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with Postponed():
            stop(signal.SIGINT)
