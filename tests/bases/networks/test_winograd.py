"""Convolutions in Winograd's form beside TensorFlow's own."""

import keras
import numpy as np
import pytest

from keras_booth.bases.networks import corrections, winograd
from keras_booth.bases.networks.unet import UNetConfig, build_unet
from tests.helpers.arrays import array, normal
from tests.helpers.gradients import gradients

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="is used on TensorFlow alone")


def convolution(inputs, kernel):
    return keras.ops.conv(inputs, kernel, padding="same")


# Whole tiles; sides that are not, in strips of four rows; a side smaller than a tile.
@pytest.mark.parametrize(
    "shape, most",
    [((2, 8, 8, 3, 5), 2**20), ((2, 7, 9, 4, 4), 36 * 4 * 4), ((1, 12, 3, 2, 1), 36 * 4 * 4), ((1, 2, 5, 1, 1), 2**20)],
)
def test_is_the_convolution_and_its_gradients(shape, most, monkeypatch):
    monkeypatch.setattr(winograd, "MOST_TILES", most)
    batch, height, width, channels, filters = shape
    inputs = [normal(batch, height, width, channels), normal(3, 3, channels, filters, seed=1)]
    upstream = normal(batch, height, width, filters, seed=2)
    found, expected = ([y, *x] for y, x in (gradients(f, inputs, upstream) for f in (winograd.convolve, convolution)))
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(array(ours), array(theirs), atol=2e-5 * np.abs(array(theirs)).max())


def test_rounding_of_many_channels():
    """Against float64: a few millionths of the spread on average, at most a few ten thousandths."""
    inputs, kernel = normal(1, 16, 16, 512), normal(3, 3, 512, 256, seed=1)
    exact = keras.ops.convert_to_numpy(convolution(inputs.astype("float64"), kernel.astype("float64")))
    error = np.abs(array(winograd.convolve(inputs, kernel)) - exact) / exact.std()
    assert np.sqrt(np.mean(error**2)) < 1e-5 and error.max() < 5e-4


def test_layers_choose_by_size(monkeypatch):
    """3 x 3, stride 1, float32, many channels on many pixels, and no accelerator."""
    calls = []
    monkeypatch.setattr(winograd, "convolve", lambda x, kernel: calls.append(x.shape[-1]) or convolution(x, kernel))

    def used(channels, filters, size=16, kernel=3, strides=1, policy="float32", padding=1):
        layer = corrections.PaddedConv2D(filters, kernel, padding=padding, strides=strides, dtype=policy)
        layer(normal(1, size, size, channels))
        found = len(calls)
        calls.clear()
        return found

    assert used(256, 256) == 1
    assert used(255, 256) == used(256, 255) == used(256, 256, size=15) == 0
    assert used(256, 256, kernel=1, padding=0) == used(256, 256, strides=2) == used(256, 256, padding=0) == 0
    # A layer made of another precision has its inner layer built under the global one.
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        assert used(256, 256, policy="mixed_bfloat16") == 0
    finally:
        keras.config.set_dtype_policy("float32")
    monkeypatch.setattr(corrections, "has_accelerator", lambda: True)
    assert used(256, 256) == 0


def test_kernels_wait_for_what_they_meet():
    """Four times as large as they are, all of a network's would else be made before its first layer."""
    import tensorflow as tf

    kernel = tf.Variable(normal(3, 3, 4, 4))
    graph = (
        tf.function(lambda x: winograd.convolve(tf.sin(x), kernel))
        .get_concrete_function(tf.TensorSpec((1, 8, 8, 4)))
        .graph
    )
    (transform,) = (op for op in graph.get_operations() if op.type == "MatMul")
    assert any(op.control_inputs for op in (transform, *(x.op for x in transform.inputs)))


@pytest.mark.large
def test_a_network_computes_the_same(monkeypatch):
    """Twenty convolutions, one after the other, of which most are in this form."""
    config = UNetConfig(widths=(256, 320), heads=(4, 4), context_width=64, blocks_per_level=1, time_features=32)
    unet = build_unet(config, (32, 32), 8)
    inputs = [normal(2, 32, 32, 4), np.array([3.0, 700.0], "float32"), normal(2, 8, 64, seed=1)]
    calls = []
    convolve = winograd.convolve
    monkeypatch.setattr(winograd, "convolve", lambda *x: calls.append(1) or convolve(*x))
    found = array(unet(inputs))
    assert len(calls) > 10
    monkeypatch.setattr(winograd, "pays", lambda *x: False)
    error = np.abs(found - array(unet(inputs))) / found.std()
    assert np.sqrt(np.mean(error**2)) < 2e-5 and error.max() < 1e-3


def test_batch_of_any_size():
    import tensorflow as tf

    kernel = normal(3, 3, 4, 4)
    function = tf.function(
        winograd.convolve, input_signature=[tf.TensorSpec((None, 8, 8, 4)), tf.TensorSpec(kernel.shape)]
    )
    for count in (1, 3):
        inputs = normal(count, 8, 8, 4)
        np.testing.assert_allclose(array(function(inputs, kernel)), array(convolution(inputs, kernel)), atol=1e-4)
