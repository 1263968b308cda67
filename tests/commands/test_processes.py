"""Several processes that train together, on this machine: the run that one makes, and that a death does not undo."""

import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.numpy import load_file

from keras_booth.callbacks import in_order, newest_whole
from tests.helpers.commands import call, environment, files, flags, several_devices
from tests.helpers.photographs import write_photos

pytestmark = pytest.mark.large
STEPS = 12
RUN = {
    **{"lora__rank": "2", "prior__count": "4", "prior__steps": "1", "training__steps": str(STEPS)},
    **{"training__batch_size": "4", "training__checkpoint_every": "1", "training__validate_every": "6"},
    **{"sampling__every": "6", "sampling__count": "1", "sampling__steps": "1"},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where the commands stand."""
    folder = tmp_path_factory.mktemp("processes")
    write_photos(folder / "photos")
    return folder


def variables(folder):
    # What one process has compiled the next one need not.
    kept = {"JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    return environment(folder) | several_devices(1, "jax") | kept | {"SOURCE_DATE_EPOCH": "0"}


class Together:
    """Processes of one run."""

    def __init__(self, folder, *arguments, count=2, others=()):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        self.folder = folder
        line = [sys.executable, "-m", "keras_booth.train", *arguments, "--coordinator", address, "--processes", count]
        # What the others are given beside what the first one is.
        lines = [[*line, *(others if number else ()), "--process_id", number] for number in range(count)]
        self.processes = [self._start(line) for line in lines]

    def _start(self, line):
        line = list(map(str, line))
        with open(self._path(line[-1]), "w") as stderr:
            return subprocess.Popen(line, cwd=self.folder, env=variables(self.folder), stderr=stderr)

    def _path(self, number):
        return self.folder / f"stderr-{number}.txt"

    def said(self, number):
        """The last line that a process wrote to stderr."""
        return self._path(number).read_text().splitlines()[-1]

    def codes(self):
        """Exit codes, when all have ended."""
        return [process.wait(480) for process in self.processes]

    def stop(self, number, how, step):
        """Sends a signal to a process as soon as there is a checkpoint of a step. Returns all exit codes."""
        checkpoints = self.folder / "run" / "checkpoints"
        while all(process.poll() is None for process in self.processes):
            if any(int(path.stem.rpartition("-")[2]) >= step for path in checkpoints.glob("step-*[0-9].safetensors")):
                self.processes[number].send_signal(how)
                break
            time.sleep(0.01)
        return self.codes()

    def finish(self):
        """Waits for the good end."""
        codes = self.codes()
        assert codes == [0] * len(codes), [self._path(number).read_text() for number in range(len(codes))]


@pytest.fixture(scope="module")
def whole(place):
    """What two processes make of a run that nobody stops."""
    Together(place, *flags(**RUN, output__folder="whole")).finish()
    return place / "whole"


def learned(run):
    return load_file(run / "dog-lora.safetensors")


def difference(one, other):
    """By how much weights differ, relative to all of them."""
    assert one.keys() == other.keys()
    flat, others = (np.concatenate([found[name].ravel() for name in one]) for found in (one, other))
    return np.linalg.norm(flat - others) / np.linalg.norm(flat)


def losses(run):
    return np.loadtxt(run / "log.csv", delimiter=",", skiprows=1)


def test_they_train_what_one_does(place, whole):
    done = call(place, "train", *flags(**RUN, output__folder="alone"), **variables(place))
    assert done.code == 0, done.err
    assert files(whole) == files(place / "alone")
    assert difference(learned(place / "alone"), learned(whole)) < 1e-5
    np.testing.assert_allclose(losses(whole), losses(place / "alone"), rtol=1e-4)
    runs = whole, place / "alone"
    measured = [np.loadtxt(run / "validation.csv", delimiter=",", skiprows=1, usecols=(1, 2)) for run in runs]
    np.testing.assert_allclose(*measured, rtol=1e-4)


def test_a_death_ends_them_all_and_undoes_nothing(place, whole):
    """One is killed, then the first one, then one is asked to stop; in the end nobody can tell."""
    run = place / "run"
    together = Together(place, *flags(**RUN))
    assert together.stop(1, signal.SIGKILL, 2) == [1, -signal.SIGKILL]
    assert "is gone" in together.said(0)
    assert f"--resume {run.name}" in together.said(0)
    assert newest_whole(in_order(run / "checkpoints")).step >= 2

    together = Together(place, "--resume", "run")
    assert together.stop(0, signal.SIGKILL, 5) == [-signal.SIGKILL, 1]
    assert "gone" in together.said(1)
    assert newest_whole(in_order(run / "checkpoints")).step >= 5

    together = Together(place, "--resume", "run")
    assert together.stop(1, signal.SIGTERM, 8) == [143, 143]
    assert together.said(0).startswith("Stopped before the end.")
    stopped_at = newest_whole(in_order(run / "checkpoints")).step
    assert 8 <= stopped_at < STEPS
    shutil.copytree(run, place / "copy")

    Together(place, "--resume", "run").finish()
    assert difference(learned(whole), learned(run)) == 0.0
    for name in ("samples.png", "validation.csv"):
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name

    done = call(place, "train", "--resume", "copy", **variables(place))  # one process instead of two
    assert done.code == 0, done.err
    assert difference(learned(whole), learned(place / "copy")) < 1e-5


def test_a_mistake_of_one_ends_the_other(place):
    """The second process does not find its photographs."""
    line = flags(**RUN, output__folder="none")
    together = Together(place, *line, others=["--subject.photos", "elsewhere"])
    assert together.codes() == [1, 2]
    assert "is gone" in together.said(0)
    assert "elsewhere" in together.said(1)
    assert not (place / "none").exists()
