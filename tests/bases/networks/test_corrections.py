"""Each corrected block against KerasCV's original."""

import math

import keras
import numpy as np
import pytest
from keras_cv.src.models.stable_diffusion import attention_block, diffusion_model, resnet_block

from keras_booth.bases.base import global_policy
from keras_booth.bases.networks import corrections
from tests.helpers.arrays import array

HEADS, HEAD_SIZE, LENGTH, CONTEXT_WIDTH = 2, 16, 6, 24
WIDTH = HEADS * HEAD_SIZE

# name of the class -> (module of the original, arguments, shapes of the inputs)
BLOCKS = {
    "CrossAttention": (diffusion_model, (HEADS, HEAD_SIZE), (9, WIDTH)),
    "GEGLU": (diffusion_model, (WIDTH,), (9, WIDTH)),
    "BasicTransformerBlock": (diffusion_model, (WIDTH, HEADS, HEAD_SIZE), [(9, WIDTH), (LENGTH, CONTEXT_WIDTH)]),
    "SpatialTransformer": (diffusion_model, (HEADS, HEAD_SIZE), [(3, 3, WIDTH), (LENGTH, CONTEXT_WIDTH)]),
    "ResnetBlock": (resnet_block, (2 * WIDTH,), (4, 4, WIDTH)),
    "AttentionBlock": (attention_block, (WIDTH,), (4, 4, WIDTH)),
}


def normal(shape, scale=1.0, seed=0):
    return (np.random.default_rng(seed).standard_normal((2, *shape)) * scale).astype("float32")


def inputs_of(name, scale=1.0):
    shapes = BLOCKS[name][2]
    if isinstance(shapes, list):
        return [normal(shape, scale, seed) for seed, shape in enumerate(shapes)]
    return normal(shapes, scale)


def twins(name, policy="float32"):
    """The corrected block and KerasCV's, built under a policy, with the same random weights."""
    module, arguments, _ = BLOCKS[name]
    with global_policy(policy):
        blocks = [getattr(origin, name)(*arguments) for origin in (corrections, module)]
        for block in blocks:
            block(inputs_of(name))
    for seed, (mine, original) in enumerate(zip(blocks[0].weights, blocks[1].weights, strict=True)):
        value = normal(mine.shape, 0.3, seed)[0]
        mine.assign(value)
        original.assign(value)
    return blocks


def saturate_gate(block):
    """Gates of a GEGLU so large that both forms of GELU are the identity in float32."""
    geglu = block if hasattr(block, "output_dim") else getattr(block, "transformer_block", block).geglu
    kernel, bias = geglu.dense.weights
    half = geglu.output_dim
    kernel.assign(np.concatenate([array(kernel)[:, :half], np.zeros((kernel.shape[0], half))], axis=1))
    bias.assign(np.concatenate([array(bias)[:half], np.full(half, 8.0)]))


@pytest.mark.parametrize("name", BLOCKS)
def test_weights_come_in_the_order_of_the_original(name):
    mine, original = twins(name)
    # KerasCV's weight files know weights by their order: the auto-generated parts of a path are stripped.
    assert [(v.name, v.shape) for v in mine.weights] == [(v.name, v.shape) for v in original.weights]
    assert len(mine.weights) >= 2
    assert isinstance(mine, type(original))


@pytest.mark.floor
class TestEqualToTheOriginal:
    """With the one thing undone that was corrected."""

    @pytest.mark.parametrize("context", [False, True])
    def test_cross_attention(self, context):
        mine, original = twins("CrossAttention")
        x = inputs_of("CrossAttention")
        context = normal((LENGTH, WIDTH), seed=1) if context else None
        np.testing.assert_allclose(array(mine(x, context)), array(original(x, context)), atol=1e-5)

    @pytest.mark.parametrize("name", ["GEGLU", "BasicTransformerBlock", "SpatialTransformer"])
    def test_where_both_forms_of_gelu_agree(self, name):
        mine, original = twins(name)
        saturate_gate(mine)
        saturate_gate(original)
        if name == "SpatialTransformer":
            original.norm.epsilon = 1e-6
        x = inputs_of(name)
        np.testing.assert_allclose(array(mine(x)), array(original(x)), rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("name", ["ResnetBlock", "AttentionBlock"])
    def test_at_the_same_epsilon(self, name):
        mine, original = twins(name)
        for norm in ("norm", "norm1", "norm2"):
            if hasattr(original, norm):
                getattr(original, norm).epsilon = 1e-6
        x = inputs_of(name)
        np.testing.assert_allclose(array(mine(x)), array(original(x)), atol=1e-5)


class TestGELU:
    def gated(self, block, gate):
        """What a GEGLU makes of these gates, for a value of 1."""
        block(np.zeros((1, 1), "float32"))
        kernel, bias = block.dense.weights
        kernel.assign([[0.0, 1.0]])
        bias.assign([1.0, 0.0])
        return array(block(gate[:, None]))[:, 0]

    def test_is_exact(self):
        gate = np.linspace(-6, 6, 241).astype("float32")
        exact = np.array([0.5 * x * (1 + math.erf(x / math.sqrt(2))) for x in gate.astype("float64")])
        np.testing.assert_allclose(self.gated(corrections.GEGLU(1), gate), exact, atol=1e-6)
        original = self.gated(diffusion_model.GEGLU(1), gate)
        assert 1e-4 < np.abs(original - exact).max() < 1e-3  # the tanh approximation


@pytest.mark.parametrize("name", ["SpatialTransformer", "ResnetBlock", "AttentionBlock"])
def test_group_norm_epsilon(name):
    """Where activations are as small as sqrt(1e-5), the epsilon decides: the original's output is damped."""
    mine, original = twins(name)
    for block in (mine, original):
        norms = [getattr(block, norm) for norm in ("norm", "norm1", "norm2") if hasattr(block, norm)]
        assert {norm.epsilon for norm in norms} == {1e-6 if block is mine else 1e-5}
    x = inputs_of(name, scale=1e-3)
    assert np.abs(array(mine(x)) - array(original(x))).max() > 1e-2


class TestHalfPrecision:
    def test_attention_does_not_overflow(self):
        """Scores of 64 * 40 * 40 = 102,400 are beyond float16 before they are scaled, and 12,800 after."""
        with global_policy("float16"):
            results = []
            for module in (corrections, diffusion_model):
                block = module.CrossAttention(1, 64)
                x = np.ones((1, 3, 64), "float16")
                block(x)
                for layer, gain in ((block.to_q, 40.0), (block.to_k, 40.0), (block.to_v, 1.0), (block.out_proj, 1.0)):
                    layer.kernel.assign(np.eye(64) * gain)
                results.append(array(block(x)))
        np.testing.assert_allclose(results[0], 1.0, rtol=1e-3)
        assert not np.isfinite(results[1]).all()

    @pytest.mark.parametrize("gate", [-300.0, 300.0])
    def test_gradient_of_geglu_does_not_overflow(self, gate):
        """A gate of 300 squared is beyond float16, and the original's gradient is 0 times infinity."""
        after = []
        with global_policy("float16"):
            for module in (corrections, diffusion_model):
                block = module.GEGLU(1)
                model = keras.Sequential([keras.Input((1,)), block])
                block.dense.kernel.assign([[0.0, 0.0]])
                block.dense.bias.assign([1.0, gate])
                model.compile(keras.optimizers.SGD(1e-3), loss="mse", jit_compile=False)
                model.train_on_batch(np.zeros((1, 1), "float16"), np.full((1, 1), max(gate, 0) + 1, "float16"))
                after.append(array(block.dense.bias))
        assert np.isfinite(after[0]).all()
        assert not np.isfinite(after[1]).all()

    @pytest.mark.parametrize("name", ["CrossAttention", "BasicTransformerBlock", "SpatialTransformer"])
    def test_precision_is_that_of_construction(self, name):
        """A block built under a policy computes the same under another global one; the original does not."""
        mine, original = twins(name, "mixed_bfloat16")
        x = inputs_of(name)
        differences = []
        for block in (mine, original):
            outputs = [block(x)]
            with global_policy("mixed_bfloat16"):
                outputs.append(block(x))
            assert {keras.backend.standardize_dtype(output.dtype) for output in outputs} == {"bfloat16"}
            differences.append(np.abs(array(outputs[0]) - array(outputs[1])).max())
        assert differences[0] == 0
        assert differences[1] > 0


class TestConv2D:
    """The matrix product that stands for a convolution."""

    @pytest.mark.parametrize("size", [(2, 2), (4, 3), (1, 5)])
    @pytest.mark.parametrize("kernel", [1, 3])
    @pytest.mark.parametrize("padding, strides", [("same", 1), ("valid", 1), ("valid", 2)])
    def test_product_is_the_convolution(self, size, kernel, padding, strides):
        # Where nothing is padded by the product, the feature map comes padded.
        size = size if padding == "same" else tuple(side + 2 for side in size)
        inputs, weights = normal((*size, 5)), normal((kernel, kernel, 5, 7))[0]
        expected = keras.ops.conv(inputs, weights, strides=strides, padding=padding)
        found = corrections.convolve_by_product(inputs, weights, (strides, strides), padding)
        assert found.shape == expected.shape
        np.testing.assert_allclose(array(found), array(expected), atol=1e-5)

    @pytest.mark.parametrize("strides, padding", [(1, 1), (2, 1), (2, ((0, 1), (0, 1)))])
    def test_layers_choose_by_size(self, strides, padding, monkeypatch):
        """400 filters: a product on 2 x 2 pixels, none on 8 x 8 or where there is an accelerator; the same values."""
        calls = []
        product = corrections.convolve_by_product
        monkeypatch.setattr(
            corrections, "convolve_by_product", lambda *arguments: calls.append(1) or product(*arguments)
        )
        for size, accelerated, used in ((2, False, 1), (8, False, 0), (2, True, 0)):
            monkeypatch.setattr(corrections, "has_accelerator", lambda there=accelerated: there)
            layer = corrections.PaddedConv2D(400, 3, padding=padding, strides=strides)
            inputs = normal((size, size, 4))
            found = layer(inputs)
            assert len(calls) == used
            calls.clear()
            expected = keras.ops.conv(layer.padding2d(inputs), layer.conv2d.kernel, strides=strides)
            np.testing.assert_allclose(array(found), array(expected), atol=1e-5)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "float16"])
def test_group_normalization_is_keras(policy):
    """And nearer to the truth where the mean is large and the pictures are."""
    inputs = normal((64, 64, 64)) + 3
    mine, original = (origin.GroupNormalization(epsilon=1e-5, dtype=policy) for origin in (corrections, keras.layers))
    for layer in (mine, original):
        layer.build(inputs.shape)
        for seed, weight in enumerate(layer.weights):
            weight.assign(normal(weight.shape, seed=seed)[0])
    found, kerass = mine(inputs), original(inputs)
    assert found.dtype == kerass.dtype
    exact = keras.layers.GroupNormalization(epsilon=1e-5, dtype="float64")
    exact.build(inputs.shape)
    exact.set_weights(mine.get_weights())
    truth = keras.ops.convert_to_numpy(exact(inputs.astype(mine.compute_dtype).astype("float64")))
    errors = [np.abs(array(values) - truth).max() for values in (found, kerass)]
    assert errors[0] <= {"float32": 5e-6, "mixed_bfloat16": 0.05, "float16": 0.01}[policy]
    assert policy != "float32" or errors[0] < errors[1]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="other backends have no graphs of unknown sizes")
def test_a_norm_of_pictures_of_any_size():
    """In a graph that does not know it."""
    import tensorflow as tf

    norm = corrections.GroupNormalization(4)
    norm.build((None, None, None, 16))
    traced = tf.function(norm, input_signature=[tf.TensorSpec((2, None, None, 16))], autograph=False)
    for side in (3, 5):
        x = normal((side, side, 16))
        np.testing.assert_allclose(array(traced(x)), array(norm(x)), atol=1e-6)
