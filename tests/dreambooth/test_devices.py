"""Several devices of one machine: the run that one device makes."""

import os
import subprocess
import sys

import numpy as np
import pytest

from tests.helpers.commands import several_devices
from tests.helpers.places import ROOT

SCRIPT = ROOT / "tests" / "helpers" / "processes" / "on_devices.py"
CASES = ["full", "lora", "float16", "lora in float16", "two rates", "averages", "random noise"]


def trained(folder, backend, case, devices):
    """What `on_devices.py` writes."""
    path = folder / f"{devices}.npz"
    variables = os.environ | several_devices(devices, backend)
    line = [sys.executable, SCRIPT, case, str(devices), path]
    done = subprocess.run(line, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(np.load(path))


def differences(one, other):
    """By how much the weights differ, relative to all of them; and the figures."""
    names = [name for name in one if name.startswith("weight")]
    flat, others = (np.concatenate([found[name].ravel() for name in names]) for found in (one, other))
    figures = [name for name in one if name.startswith("figure")]
    return np.linalg.norm(flat - others) / np.linalg.norm(flat), max(abs(one[n] / other[n] - 1) for n in figures)


@pytest.mark.large
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_trains_and_draws_what_one_device_does(tmp_path, backend, case):
    """After 20 steps, with gradients gathered over three: weights, losses, and pictures of an uneven number."""
    one, two = (trained(tmp_path, backend, case, devices) for devices in (1, 2))
    weights, figures = differences(one, two)
    half = "float16" in case or case == "two rates"
    print(backend, case, weights, figures)
    assert weights < 1e-5
    assert figures < (1e-3 if half else 1e-5)
    assert two["pictures"].shape == one["pictures"].shape
    assert np.abs(two["pictures"].astype(int) - one["pictures"]).max() <= (8 if half else 1)
