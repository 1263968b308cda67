"""The benchmarks run; what they measure is not looked at."""

import re
import subprocess
import sys

import pytest

from tests.helpers.places import ROOT

SCRIPTS = sorted(path.name for path in (ROOT / "benchmarks").glob("*.py") if path.name != "full_size.py")


@pytest.mark.parametrize("script", SCRIPTS)
def test_says_what_it_does(script):
    done = subprocess.run([sys.executable, ROOT / "benchmarks" / script, "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"python benchmarks/{script}" in done.stdout


@pytest.mark.large
def test_gpu_without_one():
    line = ["--small", "--size", "64", "--steps", "1", "--drawing-steps", "1", "--batches", "2"]
    done = subprocess.run([sys.executable, ROOT / "benchmarks" / "gpu.py", *line], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    title, _, _, _, *rows = done.stdout.splitlines()
    assert title.endswith("64 x 64 pixels, few channels")
    assert [re.split(r" \| ", row)[0] for row in rows] == [
        *("| full, batch 2", "| lora, batch 2", "| drawing, batch 1", "| drawing, batch 2")
    ]
    # A rate, and no more memory than such a model can take.
    for row in rows:
        numbers = [float(cell) for cell in row.strip("| ").split(" | ")[2:]]
        assert min(numbers) > 0 and numbers[-1] < 4


@pytest.mark.large
def test_devices_hold_and_send_what_they_should():
    """Gradients are summed once; where weights are shared a device needs at most 0.6 of the memory."""
    line = [sys.executable, ROOT / "benchmarks" / "devices.py", "--ranks", "0"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    one, shared_data, shared_weights = (row.strip("| ").split(" | ") for row in done.stdout.splitlines()[2:])
    assert shared_data[-1] == f"all-reduce {shared_data[3]}"
    assert int(shared_weights[4]) <= 0.6 * int(one[4])
