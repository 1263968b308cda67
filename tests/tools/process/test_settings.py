"""A `keras.json` of another project changes nothing."""

import keras
import numpy as np

from keras_booth.tiny_world.judge import Judge
from tests.helpers.booths import small_booth

PROMPT = "a photo of sks dog"


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
