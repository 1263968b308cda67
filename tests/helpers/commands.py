"""The commands as a user calls them."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.places import ROOT
from tests.helpers.processes import eager

# Random weights: nothing is learned, but everything happens.
TINY = {
    "base.weights": "null",
    "subject.class_noun": "dog",
    "prior.count": "2",
    "prior.steps": "2",
    "training.steps": "2",
    "training.batch_size": "2",
    "sampling.prompts": '["a photo of sks dog in the snow"]',
    "sampling.count": "2",
    "sampling.steps": "2",
    "sampling.batch_size": "2",
    "sampling.every": "2",
    "output.folder": "run",
}


@dataclass
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str
    folder: Path


def flags(**options):
    """Flags of a tiny training run; fields are written with `__` for the dot."""
    given = TINY | {"subject.photos": "photos"} | {name.replace("__", "."): value for name, value in options.items()}
    return [part for name, value in given.items() for part in (f"--{name}", str(value))]


EAGER_CELLS = ROOT / "tests" / "helpers" / "processes" / "eager_cells"


def eager_cells():
    """What has the runs of a sweep not trace, and be the same however many there are at once."""
    return {"PYTHONPATH": f"{EAGER_CELLS}:{ROOT}", "TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"}


SEVERAL_DEVICES = ROOT / "tests" / "helpers" / "processes" / "several_devices"


def several_devices(count, backend="tensorflow"):
    """What has a process find so many devices, on a machine with one CPU."""
    return {
        "PYTHONPATH": f"{SEVERAL_DEVICES}:{ROOT}",
        "KERAS_BACKEND": backend,
        "LOGICAL_DEVICES": str(count),
        # Compiled quickly and not well: the tests take few steps.
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={count} --xla_backend_optimization_level=0",
    }


def environment(folder):
    """The environment of a user's shell, with the class images kept in `folder`."""
    kept = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return kept | {"KERAS_BOOTH_CACHE": str(folder / "cache"), "PYTHONPATH": str(ROOT)}


def call(folder, command, *arguments, **variables):
    """Runs `python -m keras_booth.COMMAND` in a folder, as a user does; with further variables of the environment."""
    return _ended(folder, ["-m", f"keras_booth.{command}", *arguments], variables)


def call_eagerly(folder, command, *arguments):
    """The same without the tracing, which takes most of the time of a tiny run."""
    return _ended(folder, [eager.__file__, command, *arguments], {})


def _ended(folder, arguments, variables):
    line = [sys.executable, *map(str, arguments)]
    done = subprocess.run(line, cwd=folder, env=environment(folder) | variables, capture_output=True, text=True)
    return Done(done.returncode, done.stdout, done.stderr, folder)


def files(folder):
    """All paths under a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def start(folder, *arguments):
    """Start the command in the background."""
    line = [sys.executable, "-m", "keras_booth.train", *map(str, arguments)]
    return subprocess.Popen(
        line, cwd=folder, env=environment(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def kill_at(process, when):
    """`kill -9` as soon as `when()` holds; whether it came to that."""
    while process.poll() is None:
        if when():
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.01)
    return False
