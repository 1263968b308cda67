"""The parity tests again on JAX, in a process of their own."""

import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent


@pytest.mark.large
def test_parity_on_jax():
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    line = [sys.executable, "-m", "pytest", "-q", "-n", "0", str(HERE / "test_parity.py"), "-k", "not dreambooth"]
    done = subprocess.run(line, cwd=HERE.parents[2], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "12 passed" in done.stdout
