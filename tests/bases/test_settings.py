"""A `keras.json` of another project changes nothing."""

import os

import keras
import numpy as np
import pytest

from keras_booth.bases.tiny_world.judge import Judge
from keras_booth.workflow.quiet import quiet_import
from tests.conftest import small_booth

PROMPT = "a photo of sks dog"


@pytest.fixture(scope="module")
def pictures():
    return small_booth(dtype=None).generate(PROMPT, 2)


@pytest.fixture
def settings():
    """Keras's, which are put back."""
    yield
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    keras.config.set_epsilon(1e-7)


def test_channels_first(pictures, settings):
    keras.config.set_image_data_format("channels_first")
    np.testing.assert_array_equal(small_booth(dtype=None).generate(PROMPT, 2), pictures)
    assert Judge.load().model.output_shape["class_noun"][0] is None
    assert keras.config.image_data_format() == "channels_first"


@pytest.mark.parametrize("floatx", ["float16", "float64"])
def test_floatx(pictures, settings, floatx):
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(floatx)  # what Keras makes of it
    keras.config.set_epsilon(0.001)
    booth = small_booth(dtype=None)
    assert booth.dtype_policy.name == "float32"
    drawn = booth.generate(PROMPT, 2)
    assert np.abs(drawn.astype(int) - pictures.astype(int)).max() <= 1


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
