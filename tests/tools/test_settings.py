"""A `keras.json` of another project changes nothing."""

import os

import keras
import numpy as np
import pytest

from keras_booth.tiny_world.judge import Judge
from keras_booth.tools.quiet import quiet_import
from tests.helpers.booths import small_booth

PROMPT = "a photo of sks dog"


@pytest.fixture
def settings():
    """Keras's, which are put back."""
    yield
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    keras.config.set_epsilon(1e-7)


def test_draws_the_same(settings):
    pictures = small_booth(dtype=None).generate(PROMPT, 1)
    keras.config.set_image_data_format("channels_first")
    keras.config.set_floatx("float16")
    keras.config.set_dtype_policy("float16")  # what Keras makes of it
    keras.config.set_epsilon(0.001)
    booth = small_booth(dtype=None)
    assert booth.dtype_policy.name == "float32"
    assert np.abs(booth.generate(PROMPT, 1).astype(int) - pictures.astype(int)).max() <= 1
    assert Judge.load().model.get_layer("down_0_conv").data_format == "channels_last"
    assert keras.config.image_data_format() == "channels_first"


def test_a_policy_that_was_set_counts(settings):
    keras.config.set_dtype_policy("mixed_bfloat16")
    assert small_booth(dtype=None).dtype_policy.name == "mixed_bfloat16"


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
