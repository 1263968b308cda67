"""Keras's settings, which are of the process."""

import keras
import pytest


@pytest.fixture
def settings():
    """Keras's, which are put back."""
    yield
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    keras.config.set_epsilon(1e-7)
