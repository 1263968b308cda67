"""A backend that keras_booth does not know is refused before Keras is loaded."""

import json
import os
import subprocess
import sys

import pytest

from keras_booth.tools.errors import InputError
from keras_booth.tools.process import backend
from keras_booth.tools.process.quiet import quiet_import


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """As in a process without Keras, with a home of its own."""
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path / "keras.json"


@pytest.mark.parametrize("name", ["torch", "openvino", "numpy", "nonsense"])
def test_refused(fresh, monkeypatch, name):
    fresh.write_text(json.dumps({"backend": name}))
    with pytest.raises(InputError, match=f"KERAS_BACKEND=tensorflow. Received: backend='{name}' in .*keras.json$"):
        backend.require_backend()
    fresh.write_text(json.dumps({"backend": "tensorflow"}))
    monkeypatch.setenv("KERAS_BACKEND", name)
    with pytest.raises(InputError, match=f"Received: KERAS_BACKEND={name}$"), quiet_import():
        pass


@pytest.mark.parametrize("text", [None, "{", "[]", "{}", '{"backend": "torch"}'])
def test_the_environment_comes_first(fresh, monkeypatch, text):
    if text:
        fresh.write_text(text)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert backend.find_backend()[0] == "jax"
    monkeypatch.delenv("KERAS_BACKEND")
    assert backend.find_backend()[0] == ("torch" if text and "torch" in text else "tensorflow")


def test_not_installed(fresh, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.delitem(sys.modules, "jax", raising=False)
    monkeypatch.setattr(backend.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="not installed: pip install jax"):
        backend.require_backend()


def test_a_command_and_an_import_in_a_process():
    changed = os.environ | {"KERAS_BACKEND": "torch"}
    line = [sys.executable, "-m", "keras_booth.generate", "tiny_world", "dog"]
    done = subprocess.run(line, env=changed, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "Received: KERAS_BACKEND=torch" in done.stderr
    done = subprocess.run(
        [sys.executable, "-c", "import keras_booth.data"], env=changed, capture_output=True, text=True
    )
    assert done.returncode == 1 and "InputError: keras_booth runs on Keras's backends" in done.stderr
