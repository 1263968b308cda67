"""The parity tests again on JAX, in a process of their own."""

import os
import pathlib
import subprocess
import sys

import pytest

from tests.helpers.places import ROOT


@pytest.mark.large
def test_parity_on_jax():
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    line = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "0",
        pathlib.Path(__file__).with_name("test_parity.py"),
        "-k",
        "not dreambooth",
    ]
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout and "skipped" not in done.stdout
