"""Several devices of one machine: the run that one device makes."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_booth
from keras_booth.tools.errors import InputError
from keras_booth.tools.process.replicas import device_count
from tests.helpers.booths import small_booth
from tests.helpers.commands import several_devices
from tests.helpers.places import ROOT

SCRIPT = ROOT / "tests" / "helpers" / "processes" / "on_devices.py"
FEW = ["two rates"]
REST = ["lora", "full", "float16", "lora in float16", "averages", "random noise"]
CASES = [pytest.param(case, marks=pytest.mark.large if case in FEW else pytest.mark.huge) for case in FEW + REST]


def trained(folder, backend, case, devices, *ways):
    """What `on_devices.py` writes of each way, on a machine with so many devices."""
    variables = os.environ | several_devices(devices, backend)
    line = [sys.executable, SCRIPT, case, folder, *ways]
    done = subprocess.run(line, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return [dict(np.load(folder / f"{way}.npz")) for way in ways]


def require_equal(one, other, half):
    """The same weights, figures and pictures but for rounding, which is coarser in half precision."""
    size, moved = (np.linalg.norm(array) for array in (one["weights"], one["weights"] - one["before"]))
    apart = np.linalg.norm(one["weights"] - other["weights"])
    figures = np.abs(one["figures"] / other["figures"] - 1).max()
    print(f"apart {apart / size:.1e}, of what was learned {apart / moved:.1e}; figures {figures:.1e}")
    assert apart < 1e-5 * size
    assert apart < (1e-2 if half else 1e-4) * moved
    assert figures < (1e-3 if half else 1e-5)
    assert other["pictures"].shape == one["pictures"].shape
    assert np.abs(other["pictures"].astype(int) - one["pictures"]).max() <= (8 if half else 1)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_two_train_and_draw_what_one_does(tmp_path, backend, case):
    """After 20 steps, with gradients gathered over two: weights, losses, and pictures of an uneven number."""
    ways = ["1", "2", "2:model"] if backend == "jax" else ["1", "2"]
    one, *others = trained(tmp_path, backend, case, 2, *ways)
    for other in others:
        require_equal(one, other, "float16" in case or case == "two rates")


@pytest.mark.huge
@pytest.mark.parametrize("case", ["lora", "two rates"])
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_four_train_and_draw_what_one_does(tmp_path, backend, case):
    one, four = trained(tmp_path, backend, case, 4, "1", "4")
    require_equal(one, four, case == "two rates")


STRATEGY = """
import tensorflow as tf
from keras_booth.tools.process.replicas import require_known_strategy
with tf.distribute.MultiWorkerMirroredStrategy().scope():
    require_known_strategy()
"""


@pytest.mark.large
def test_a_strategy_that_keras_does_not_know_is_refused():
    variables = os.environ | {"KERAS_BACKEND": "tensorflow"}
    done = subprocess.run([sys.executable, "-c", STRATEGY], cwd=ROOT, env=variables, capture_output=True, text=True)
    assert "Received: the scope of a CollectiveAllReduceStrategy" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "devices, sharding, said",
    [
        (0, "data", "`devices` must be 'all' or a number in [1, "),
        (10_000, "data", "as there are devices here. Received: devices=10000"),
        (True, "data", "Received: devices=True"),
        (1.0, "data", "Received: devices=1.0"),
        ("two", "data", "Received: devices='two'"),
        (1, "both", "sharding must be 'data' or 'model'. Received: sharding='both'"),
    ],
)
def test_other_devices_are_refused(devices, sharding, said):
    with pytest.raises(InputError) as caught, keras_booth.on_devices(devices, sharding):
        pass
    assert said in str(caught.value)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX shares weights")
def test_tensorflow_does_not_share_weights():
    with pytest.raises(InputError, match="set KERAS_BACKEND=jax. Received: sharding='model' on tensorflow"):
        with keras_booth.on_devices(1, "model"):
            pass


def test_one_device_needs_nothing():
    with keras_booth.on_devices(1) as count:
        assert count == 1
        assert device_count(small_booth()) == 1
