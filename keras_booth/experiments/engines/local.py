"""Runs as processes of this machine, some at once."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from keras_booth.experiments.cell_files import LOG
from keras_booth.tools.errors import require

MODULE = "keras_booth.experiments.cell"
PATIENCE = 300  # seconds that a process has to end in peace, with a checkpoint
TICK = 0.2


class Local:
    """Processes of this machine.

    Args:
        jobs: int >= 1. How many at once. Each has its share of the cores, and of several GPUs one, by turns.
    """

    def __init__(self, jobs: int = 1):
        require(isinstance(jobs, int) and jobs >= 1, "jobs", ">= 1", jobs)
        self.jobs = jobs

    def run(self, folders: Sequence[pathlib.Path], on_end: Callable[[pathlib.Path, str | None], object]) -> None:
        """Does the cells in some folders.

        Args:
            folders: list of `Path`.
            on_end: callable, given a folder and the sentence of what went wrong, or `None`, as soon as it is done.
        """
        waiting, running = list(folders), {}
        try:
            while waiting or running:
                for slot in range(self.jobs):
                    if waiting and slot not in running:
                        folder = waiting.pop(0)
                        running[slot] = folder, begin(folder, self.environment(slot))
                for slot, (folder, process) in list(running.items()):
                    if process.poll() is not None:
                        del running[slot]
                        close(process)
                        on_end(folder, failure(process.returncode, (folder / LOG).read_text(errors="replace")))
                time.sleep(TICK)
        finally:
            end([process for _, process in running.values()])

    def environment(self, slot: int) -> dict[str, str]:
        """What a process sees of the machine."""
        found = dict(os.environ)
        if self.jobs > 1:
            share = str(max(1, (os.cpu_count() or 1) // self.jobs))
            for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
                found.setdefault(name, share)
            # Of a GPU that several share the first would take nearly all memory.
            found.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
            found.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
            devices = gpus()
            if len(devices) > 1:
                found["CUDA_VISIBLE_DEVICES"] = devices[slot % len(devices)]
        return found


def gpus() -> list[str]:
    """The NVIDIA GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") is not None:
        return [name for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name.strip()]
    folder = pathlib.Path("/proc/driver/nvidia/gpus")
    return [str(number) for number in range(len(list(folder.iterdir())))] if folder.is_dir() else []


def begin(folder: pathlib.Path, environment: dict[str, str]) -> subprocess.Popen:
    """Starts the process of one cell; what it says goes into its log."""
    with open(folder / LOG, "w") as log:
        line = [sys.executable, "-m", MODULE, str(folder.absolute())]
        # In its folder, so that the paths of a config that travelled are those of the pictures that came with it.
        ends = {"stdin": subprocess.PIPE, "stdout": log, "stderr": subprocess.STDOUT}
        return subprocess.Popen(line, cwd=folder, env=environment, **ends)


def close(process: subprocess.Popen) -> None:
    """Lets go of the other end of a process's input."""
    with contextlib.suppress(OSError):
        process.stdin.close()


def end(processes: Sequence[subprocess.Popen]) -> None:
    """Has processes end, with a checkpoint where they train."""
    for process in processes:
        close(process)
        if process.poll() is None:
            process.terminate()
    for process in processes:
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def failure(code: int, log: str) -> str | None:
    """One sentence on how a process failed; `None` where it did not."""
    if code == 0:
        return None
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    if code < 0:
        name = signal.Signals(-code).name
        return f"The process was ended by {name}" + (
            ", as the system does when memory is short." if code == -9 else "."
        )
    if lines and lines[-1].startswith("This is a fault of keras_booth") and len(lines) > 1:
        return f"A fault of keras_booth, whose lines are in {LOG}: {lines[-2]}"
    return lines[-1] if lines else f"The process ended with code {code}, and said nothing."
