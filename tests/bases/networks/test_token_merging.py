"""Token merging against loops over tokens in NumPy, and what it may and may not change."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_booth.bases import StableDiffusionBase
from keras_booth.bases.base import global_policy
from keras_booth.bases.networks import token_merging
from keras_booth.bases.networks.corrections import SelfAttention, SpatialTransformer
from keras_booth.bases.networks.token_merging import count_merged, match, merge, unmerge
from keras_booth.dreambooth.prior.drawing import describe
from tests.helpers.arrays import array, normal
from tests.helpers.booths import fixed_batch, small_booth, small_config

SIZES = [((4, 6), 7), ((4, 4), 12), ((3, 5), 4), ((1, 5), 2), ((2, 2), 1)]

on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow only")


def by_hand(tokens, size, merged):
    """The sets of positions of one sample that become one, decided token by token in float64."""
    height, width = size
    tokens = tokens.astype("float64")
    groups = {row * width + column: [] for row in range(0, height, 2) for column in range(0, width, 2)}
    found = []
    for position in range(height * width):
        if position not in groups:
            cosines = {
                other: tokens[position]
                @ tokens[other]
                / np.linalg.norm(tokens[position])
                / np.linalg.norm(tokens[other])
                for other in groups
            }
            best = max(cosines, key=cosines.get)
            found.append((cosines[best], position, best))
    found.sort(reverse=True)
    for _, position, best in found[:merged]:
        groups[best].append(position)
    alone = [{position} for _, position, _ in found[merged:]]
    return [{destination, *others} for destination, others in groups.items()] + alone


def cells_of_equals(batch, height, width, channels):
    """Tokens that are the same all over a 2x2 cell: `(batch, height * width, channels)`."""
    cells = normal(batch, height // 2, width // 2, channels)
    return cells.repeat(2, axis=1).repeat(2, axis=2).reshape(batch, height * width, channels)


def attention(size, merged, policy="float32", width=32):
    """A `SelfAttention` of two heads on a feature map of this size, with fixed weights."""
    with global_policy(policy):
        layer = SelfAttention(2, width // 2)
        layer.build((None, size[0] * size[1], width))
    for seed, variable in enumerate(layer.weights):
        variable.assign(normal(*variable.shape, seed=seed, scale=0.2))
    layer.size, layer.merged = size, merged
    return layer


def roundtrip(tokens, size, merged):
    groups = match(tokens, size, merged)
    return unmerge(merge(tokens, groups, merged), groups)


class TestFunctions:
    def test_four_tokens(self):
        """The destination is (4, 0). Nearest in direction is the token (2, 0.2), whatever the lengths."""
        tokens = np.array([[[4.0, 0.0], [0.0, 4.0], [-4.0, 0.0], [2.0, 0.2]]], "float32")
        groups = match(tokens, (2, 2), 1)
        assert array(groups)[0, 0] == array(groups)[0, 3] and len(set(array(groups)[0])) == 3
        expected = [[[3.0, 0.1], [0.0, 4.0], [-4.0, 0.0], [3.0, 0.1]]]
        np.testing.assert_allclose(array(unmerge(merge(tokens, groups, 1), groups)), expected, rtol=1e-6)

    @pytest.mark.parametrize("size, merged", SIZES)
    def test_equals_loops(self, size, merged):
        tokens = normal(3, size[0] * size[1], 8)
        groups = match(tokens, size, merged)
        means, spread = array(merge(tokens, groups, merged)), array(roundtrip(tokens, size, merged))
        for sample in range(3):
            sets = by_hand(tokens[sample], size, merged)
            of_tokens = array(groups)[sample].astype(int)
            assert sorted(set(of_tokens)) == list(range(size[0] * size[1] - merged)) and len(sets) == means.shape[1]
            for positions in map(sorted, sets):
                mean = tokens[sample, positions].astype("float64").mean(axis=0)
                np.testing.assert_allclose(means[sample, of_tokens[positions[0]]], mean, rtol=1e-5, atol=1e-6)
                np.testing.assert_allclose(spread[sample, positions], mean[None].repeat(len(positions), 0), atol=1e-6)

    @pytest.mark.parametrize(
        "size, ratio, expected",
        [
            ((4, 4), 0, 0),
            ((4, 4), 0.5, 8),
            ((4, 4), 0.749, 11),
            ((64, 64), 0.5, 2048),
            ((3, 3), 0.74, 5),
            ((1, 1), 0.7, 0),
        ],
    )
    def test_count(self, size, ratio, expected):
        assert count_merged(size, ratio) == expected

    def test_equal_tokens_come_back_whatever_the_ratio(self):
        tokens = cells_of_equals(2, 4, 6, 8)
        for merged in (1, 5, 12, 17, 18):
            np.testing.assert_allclose(array(roundtrip(tokens, (4, 6), merged)), tokens, rtol=1e-6)

    def test_samples_of_a_batch_are_independent(self):
        tokens = normal(3, 24, 8)
        np.testing.assert_array_equal(array(match(tokens, (4, 6), 7))[1:], array(match(tokens[1:], (4, 6), 7)))

    def test_half_precision(self):
        """Squares of 300 and sums of 60,000 are beyond float16; the tokens are not."""
        tokens = normal(2, 24, 16, scale=300.0).astype("float16")
        np.testing.assert_array_equal(
            array(match(tokens, (4, 6), 9)), array(match(tokens.astype("float32"), (4, 6), 9))
        )
        large = roundtrip(np.full((1, 16, 4), 6e4, "float16"), (4, 4), 12)
        assert keras.backend.standardize_dtype(large.dtype) == "float16"
        np.testing.assert_allclose(array(large), 6e4, rtol=1e-3)

    def test_zeros(self):
        np.testing.assert_array_equal(array(roundtrip(np.zeros((1, 16, 4), "float32"), (4, 4), 8)), 0.0)


class TestAttention:
    def test_is_exact_where_all_groups_are_alike(self):
        """A key that is seen once instead of n times loses weight in the softmax, unless all keys do, each by the same
        n. So equal tokens alone do not suffice: each group has to be a whole cell of four."""
        tokens = cells_of_equals(2, 4, 6, 32)
        plain = array(attention((4, 6), 0)(tokens))
        np.testing.assert_allclose(array(attention((4, 6), 18)(tokens)), plain, rtol=1e-5, atol=1e-5)
        # With one source less in it, the key of one cell counts twice.
        assert np.abs(array(attention((4, 6), 17)(tokens)) - plain).max() > 1e-3

    def test_equals_attention_among_means(self):
        """Another way to write it: plain attention among the means, and back."""
        tokens, merged = normal(2, 24, 32), 11
        groups = match(tokens, (4, 6), merged)
        expected = attention((4, 6), 0)(merge(tokens, groups, merged))
        expected = np.stack([row[of] for row, of in zip(array(expected), array(groups).astype(int), strict=True)])
        np.testing.assert_allclose(array(attention((4, 6), merged)(tokens)), expected, atol=1e-6)

    @on_tensorflow
    def test_gradients(self):
        """Through a weighted sum of the result: to all tokens and all weights; through the means alone, to each token
        its group's weight by the group's size."""
        import tensorflow as tf

        layer, tokens = attention((4, 6), 11), tf.constant(normal(2, 24, 32))
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(tokens)
            groups = match(tokens, (4, 6), 11)
            means = merge(tokens, groups, 11)
            of_means = tf.reduce_sum(means * normal(2, 13, 32, seed=2))
            of_result = tf.reduce_sum(layer(tokens) * normal(2, 24, 32, seed=1))
        gradients = tape.gradient(of_result, [tokens, *[variable.value for variable in layer.trainable_weights]])
        assert all(np.isfinite(array(gradient)).all() for gradient in gradients)
        assert (np.abs(array(gradients[0])).max(axis=-1) > 1e-4).all()
        assert all(np.abs(array(gradient)).max() > 1e-4 for gradient in gradients)
        weights, rows = normal(2, 13, 32, seed=2), array(groups).astype(int)
        expected = [w[row] / np.bincount(row)[row][:, None] for w, row in zip(weights, rows, strict=True)]
        np.testing.assert_allclose(array(tape.gradient(of_means, tokens)), expected, rtol=1e-5)

    @on_tensorflow
    @pytest.mark.parametrize("jit", [False, True], ids=["graph", "xla"])
    def test_compiled_equals_eager(self, jit):
        """The graph is traced for batches of any size; the gradient too, which the backward pass of XLA must know."""
        import tensorflow as tf

        layer, tokens = attention((4, 6), 11), normal(2, 24, 32)

        def both(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                result = layer(x)
                total = tf.reduce_sum(result * result)
            return result, tape.gradient(total, x)

        signature = [tf.TensorSpec((None, 24, 32))]
        compiled = tf.function(both, input_signature=signature, jit_compile=jit)
        for mine, eager in zip(compiled(tf.constant(tokens)), both(tf.constant(tokens)), strict=True):
            np.testing.assert_allclose(array(mine), array(eager), rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("policy", ["float16", "mixed_bfloat16"])
    def test_half_precision(self, policy):
        with global_policy(policy):
            block = SpatialTransformer(2, 16)
            inputs = [normal(2, 4, 6, 32, scale=1e3), normal(2, 5, 24)]
            block.build([value.shape for value in inputs])
        plain = array(block(inputs))
        block.merge_tokens(0.5)
        merged = block(inputs)
        assert keras.backend.standardize_dtype(merged.dtype) == policy.removeprefix("mixed_")
        assert np.isfinite(array(merged)).all() and np.abs(array(merged) - plain).max() > 0


@on_tensorflow
def test_agrees_with_jax():
    """Compiled on JAX. The file is run by itself: the package around it would take longer to import than all else."""
    script = f"""
import json, runpy, jax, numpy as np
functions = runpy.run_path({token_merging.__file__!r})
def both(x):
    groups = functions["match"](x, (4, 6), 7)
    return functions["unmerge"](functions["merge"](x, groups, 7), groups)
x = np.random.default_rng(0).standard_normal((2, 24, 8)).astype("float32")
gradient = jax.grad(lambda x: (both(x) ** 2).sum())
print(json.dumps([jax.jit(both)(x).tolist(), jax.jit(gradient)(x).tolist()]))
"""
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    there, gradient = map(np.array, json.loads(done.stdout.splitlines()[-1]))
    here = array(roundtrip(normal(2, 24, 8), (4, 6), 7))
    np.testing.assert_allclose(there, here, rtol=1e-5, atol=1e-6)
    # The sum of squares of what is spread: each token gets twice its group's mean.
    np.testing.assert_allclose(gradient, 2 * here, rtol=1e-5, atol=1e-5)


# === Base ===


@pytest.fixture(scope="module")
def booth():
    return small_booth()


@pytest.fixture
def base(booth):
    yield booth.base
    booth.base.merge_tokens(0)


def merged_by_size(base):
    blocks = [layer for layer in base.unet.layers if isinstance(layer, SpatialTransformer)]
    return {block.size: block.transformer_block.attn1.merged for block in blocks}


class TestBase:
    def test_levels(self, base):
        """Latents of 8 x 8; the level below has attention in the middle block alone."""
        assert base.merged_tokens == (0.0, 0) and merged_by_size(base) == {(8, 8): 0, (4, 4): 0}
        base.merge_tokens(0.5)
        assert base.merged_tokens == (0.5, 1) and merged_by_size(base) == {(8, 8): 32, (4, 4): 0}
        base.merge_tokens(0.25, levels=2)
        assert base.merged_tokens == (0.25, 2) and merged_by_size(base) == {(8, 8): 16, (4, 4): 4}
        base.merge_tokens(0)
        assert base.merged_tokens == (0.0, 0) and merged_by_size(base) == {(8, 8): 0, (4, 4): 0}

    def test_back_at_zero_everything_is_as_it_was(self, base):
        inputs = [normal(2, 8, 8, 4), np.array([3, 900], "int32"), normal(2, 12, 32)]
        before = array(base.unet(inputs))
        base.merge_tokens(0.5)
        assert np.abs(array(base.unet(inputs)) - before).max() > 1e-6
        base.merge_tokens(0)
        np.testing.assert_array_equal(array(base.unet(inputs)), before)

    @on_tensorflow
    def test_zero_adds_nothing_to_the_graph(self):
        import tensorflow as tf

        def operations(layer):
            graph = tf.function(layer).get_concrete_function(tf.TensorSpec((None, 24, 32))).graph
            return [operation.type for operation in graph.get_operations()]

        layer = attention((4, 6), 0)
        before = operations(layer)
        layer.merged = 11
        assert len(operations(layer)) > len(before)
        layer.merged = 0
        assert operations(layer) == before

    @pytest.mark.parametrize("ratio", [-0.1, 0.75, 1, float("nan"), "half", None])
    def test_refuses_ratio(self, base, ratio):
        with pytest.raises(ValueError, match=r"`ratio` must be in \[0, 0.75\).*Received: ratio="):
            base.merge_tokens(ratio)
        assert base.merged_tokens == (0.0, 0)

    @pytest.mark.parametrize("levels", [0, 3, 1.5, None])
    def test_refuses_levels(self, base, levels):
        with pytest.raises(ValueError, match=r"`levels` must be an int in \[1, 2\]. Received: levels="):
            base.merge_tokens(0.5, levels)

    def test_refuses_levels_without_attention(self):
        config = small_config()
        config = type(config).from_dict(config.to_dict() | {"unet": config.to_dict()["unet"] | {"heads": (0, 2)}})
        base = StableDiffusionBase(config)
        with pytest.raises(ValueError, match="`levels` must be >= 2.*Received: levels=1"):
            base.merge_tokens(0.5)
        base.merge_tokens(0.5, levels=2)
        assert merged_by_size(base) == {(4, 4): 8}
        base.merge_tokens(0)
        assert merged_by_size(base) == {(4, 4): 0}


class TestBooth:
    def test_training_step(self, booth, base):
        """With and without gradient checkpointing: the decision is made twice, and is the same."""
        batch, before = fixed_batch(booth, [False, True]), [array(v) for v in booth.trainable_variables]
        ends = []
        for ratio, checkpointing in ((0, False), (0.5, False), (0.5, True)):
            base.merge_tokens(ratio)
            booth.compile(keras.optimizers.SGD(1.0), gradient_checkpointing=checkpointing, run_eagerly=True)
            booth.train_on_batch(batch)
            ends.append([array(variable) for variable in booth.trainable_variables])
            for variable, value in zip(booth.trainable_variables, before, strict=True):
                variable.assign(value)
        for plain, start, merged, again in zip(ends[0], before, *ends[1:], strict=True):
            assert np.isfinite(merged).all() and (np.abs(plain - start).max() > 0) == (np.abs(merged - start).max() > 0)
            np.testing.assert_allclose(again, merged, rtol=1e-4, atol=1e-6)
        assert max(np.abs(plain - merged).max() for plain, merged in zip(*ends[:2], strict=True)) > 1e-6

    def test_drawing_follows_the_setting(self, booth, base):
        """What was compiled under another setting must not draw."""
        pictures = []
        for ratio in (0, 0.7, 0):
            base.merge_tokens(ratio, levels=2)
            pictures.append(booth.generate(booth.class_prompt, count=2, steps=1, guidance_scale=8.0))
        np.testing.assert_array_equal(pictures[0], pictures[2])
        assert (pictures[0] != pictures[1]).any()

    def test_class_images_drawn_so_lie_apart(self, booth, base):
        settings = [booth, "a photo of a dog", booth.draw_settings(3), 0]
        plain = describe(*settings)
        base.merge_tokens(0.5)
        assert describe(*settings) == plain | {"merged_tokens": (0.5, 1)} and plain["merged_tokens"] == (0.0, 0)
