"""Commands make no noise, and have settings of their own."""

import os
import subprocess
import sys

import keras
import pytest

from keras_booth.tools.process.quiet import quiet_import


def test_a_command_has_settings_of_its_own(settings):
    keras.config.set_floatx("float16")
    keras.config.set_dtype_policy("float16")
    keras.config.set_image_data_format("channels_first")
    keras.config.set_epsilon(0.001)
    with quiet_import():
        pass
    config = keras.config
    assert (config.floatx(), config.image_data_format(), config.epsilon()) == ("float32", "channels_last", 1e-7)
    assert config.dtype_policy().name == "float32"


@pytest.mark.parametrize("level, shown", [("0", True), ("1", True), ("2", False), ("3", False), (None, False)])
def test_noise_of_an_import(monkeypatch, capfd, level, shown):
    """As TensorFlow's C++ side makes it; `TF_CPP_MIN_LOG_LEVEL` of 3 must not be noisier than none."""
    if level is None:
        monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    else:
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", level)
    with quiet_import():
        os.write(2, b"chatter\n")
    assert ("chatter" in capfd.readouterr().err) == shown


def test_what_no_command_uses_is_not_loaded():
    """TensorFlow would load JAX, and KerasCV PyTorch. Who wants them afterwards has them."""
    script = """
import sys
from keras_booth.tools.process.quiet import quiet_import
with quiet_import():
    import keras_booth.dreambooth
print([name for name in ("jax", "torch") if name in sys.modules])
import jax
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
