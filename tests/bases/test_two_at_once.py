"""A model that is made leaves the process as it was, and bears another one that is made at the same time."""

import concurrent.futures
import random
import threading

import keras
import numpy as np

from keras_booth.bases import StableDiffusionBase
from keras_booth.tools.seeds import seeded_weights
from tests.helpers.booths import small_config

DTYPES = ("float32", "bfloat16", "float32")


def made(seed, dtype, gate=None):
    """A base of random weights, and its first weights as floats."""
    if gate is not None:
        gate.wait()
    with seeded_weights(seed):
        base = StableDiffusionBase(small_config(), dtype=dtype)
    return base, [np.asarray(weight.numpy(), "float32") for weight in base.unet.weights[:8]]


def test_threads():
    """Under a setting of the process that each has to change while it builds."""
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        alone = [made(seed, dtype) for seed, dtype in enumerate(DTYPES)]
        gate = threading.Barrier(len(DTYPES))
        with concurrent.futures.ThreadPoolExecutor(len(DTYPES)) as pool:
            together = list(pool.map(made, range(len(DTYPES)), DTYPES, [gate] * len(DTYPES)))
        assert keras.config.image_data_format() == "channels_first"
    finally:
        keras.config.set_image_data_format(before)
    for dtype, (base, weights), (other, same) in zip(DTYPES, together, alone, strict=True):
        assert base.unet.dtype_policy.name == dtype and base.image_encoder.dtype_policy.name == "float32"
        assert [w.dtype for w in base.unet.weights] == [w.dtype for w in other.unet.weights]
        for ours, theirs in zip(weights, same, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(together[0][1][0], together[2][1][0])


def test_the_process_stays_as_it_was():
    policy, state = keras.config.dtype_policy(), random.getstate()
    numpys = np.random.get_state()[1].copy()
    made(3, "mixed_bfloat16")
    assert keras.config.dtype_policy() is policy and random.getstate() == state
    np.testing.assert_array_equal(np.random.get_state()[1], numpys)
