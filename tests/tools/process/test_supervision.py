"""The process that says what a process cannot say any more that was ended by force."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.helpers.places import ROOT

# A package with a command of that name, so that nothing has to be loaded.
COMMAND = """
import os, signal, sys, time
from supervision import PARENT, end_with_parent, leave
what = sys.argv[1]
if what == "abort":
    os.abort()
if what == "fail":
    print("said", flush=True)
    leave(2)
end_with_parent()
if what == "answer":
    signal.signal(signal.SIGTERM, lambda *args: leave(7))
print(os.getpid(), flush=True)
time.sleep(60)
"""
SUPERVISOR = "import sys; from supervision import supervise; sys.exit(supervise('command', sys.argv[1:]))"


def start(folder, what):
    (folder / "keras_booth").mkdir()
    (folder / "keras_booth" / "command.py").write_text(COMMAND)
    path = f"{folder}:{ROOT / 'keras_booth' / 'tools' / 'process'}"
    line = [sys.executable, "-c", SUPERVISOR, what]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(line, cwd=folder, env=os.environ | {"PYTHONPATH": path}, **pipes)


def gone(number):
    """Whether a process has ended, within five seconds."""
    for _ in range(50):
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def test_an_end_by_force_gets_its_sentence(tmp_path):
    process = start(tmp_path, "abort")
    said = process.communicate()[1]
    assert process.returncode == 1
    assert said.splitlines()[-1].startswith("The command stopped: This process of the run was ended by signal 6")


def test_an_exit_code_comes_through(tmp_path):
    process = start(tmp_path, "fail")
    out, err = process.communicate()
    assert (process.returncode, out, err) == (2, "said\n", "")


@pytest.mark.parametrize("what, code", [("answer", 7), ("wait", 143)])
def test_a_signal_comes_through(tmp_path, what, code):
    process = start(tmp_path, what)
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert process.communicate()[1] == ""
    assert process.returncode == code


def test_it_does_not_outlive_who_watches(tmp_path):
    with start(tmp_path, "wait") as process:
        child = int(process.stdout.readline())
        process.kill()
        process.wait()
        assert gone(child)
