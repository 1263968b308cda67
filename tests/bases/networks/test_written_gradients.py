"""Attention in slices and other functions with a gradient written out, beside what the backend makes of plain ones.

`KERAS_BACKEND=jax pytest` runs them on JAX, which one of them does.
"""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from keras_booth.bases.networks import attention, corrections, lean
from tests.helpers.arrays import array, normal
from tests.helpers.gradients import gradients

HALVES = ("float16", "bfloat16")
# (queries, keys, heads, bytes of a slice): whole heads, two at once; odd lengths, in slices that do not fill the last
# one; one query at a time.
SIZES = [(64, 64, 4, 64 * 64 * 4 * 2), (61, 77, 3, 3000), (7, 5, 2, 1)]


def plain_attention(query, key, value, mask=None):
    """Vaswani et al., arXiv:1706.03762, equation 1; queries come scaled."""
    scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))
    if mask is not None:
        scores = ops.where(mask, scores, -3e4)
    return ops.matmul(ops.softmax(scores), value)


def plain_geglu(inputs):
    """Shazeer, arXiv:2002.05202, equation 6, as Stable Diffusion has it."""
    x, gate = ops.split(inputs, 2, axis=-1)
    return x * ops.gelu(gate, approximate=False)


def plain_groups(x, gamma, beta, swish):
    grouped = ops.reshape(x, (x.shape[0], -1, 4, x.shape[-1] // 4))
    mean, variance = (moment(grouped, axis=(1, 3), keepdims=True) for moment in (ops.mean, ops.var))
    y = ops.reshape((grouped - mean) / ops.sqrt(variance + 1e-5), x.shape) * gamma + beta
    return ops.silu(y) if swish else y


def plain_channels(x, gamma, beta):
    mean, variance = (moment(x, axis=-1, keepdims=True) for moment in (ops.mean, ops.var))
    return (x - mean) / ops.sqrt(variance + 1e-5) * gamma + beta


# name -> (ours, the plain one, shapes of the inputs, shape of the outcome)
FUNCTIONS = {
    "GEGLU": (lean.gated_gelu, plain_geglu, [(2, 5, 16)], (2, 5, 8)),
    "group norm": (
        lambda x, gamma, beta: lean.normalize_groups(x, gamma, beta, 4, 1e-5),
        lambda x, gamma, beta: plain_groups(x, gamma, beta, False),
        [(2, 5, 3, 16), (16,), (16,)],
        (2, 5, 3, 16),
    ),
    "group norm, swish": (
        lambda x, gamma, beta: lean.normalize_groups(x, gamma, beta, 4, 1e-5, swish=True),
        lambda x, gamma, beta: plain_groups(x, gamma, beta, True),
        [(2, 5, 3, 16), (16,), (16,)],
        (2, 5, 3, 16),
    ),
    "layer norm": (
        lambda x, gamma, beta: lean.normalize_channels(x, gamma, beta, 1e-5),
        plain_channels,
        [(2, 5, 16), (16,), (16,)],
        (2, 5, 16),
    ),
}


@pytest.fixture
def sliced(monkeypatch):
    """Sets how small a slice is; no table is small enough to be whole."""

    def set_size(size):
        monkeypatch.setattr(attention, "WHOLE_TABLE", 0)
        monkeypatch.setattr(attention, "SLICE", size)

    return set_size


def parts(queries, keys, heads):
    shapes = [(2, heads, count, 8) for count in (queries, keys, keys, queries)]
    return [normal(*shape, seed=seed) for seed, shape in enumerate(shapes)]


def distances(found, expected):
    """Of each array, relative to the largest value."""
    return [np.abs(array(x) - array(y)).max() / np.abs(array(y)).max() for x, y in zip(found, expected, strict=True)]


def all_of(function, inputs, upstream):
    outcome, found = gradients(function, inputs, upstream)
    return [outcome, *found]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("queries, keys, heads, size", SIZES)
def test_slices_are_the_whole(sliced, queries, keys, heads, size, masked):
    sliced(size)
    *inputs, upstream = parts(queries, keys, heads)
    mask = np.random.default_rng(0).random((queries, keys)) > 0.3 if masked else None
    if masked:
        mask[:, 0] = True
    found = all_of(lambda *inputs: attention.attend(*inputs, mask), inputs, upstream)
    expected = all_of(lambda *inputs: plain_attention(*inputs, mask), inputs, upstream)
    assert max(distances(found, expected)) < 1e-5
    assert [x.shape for x in found] == [x.shape for x in expected]


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("queries, keys, heads, size", SIZES)
def test_slices_in_half_precision(sliced, queries, keys, heads, size, dtype):
    """As near to the truth as the whole table."""
    sliced(size)
    half = [ops.cast(x, dtype) for x in parts(queries, keys, heads)]
    truth = all_of(plain_attention, [ops.cast(x, "float32") for x in half[:3]], ops.cast(half[3], "float32"))
    found, whole = (all_of(function, half[:3], half[3]) for function in (attention.attend, plain_attention))
    assert {keras.backend.standardize_dtype(x.dtype) for x in found} == {dtype}
    for ours, theirs in zip(distances(found, truth), distances(whole, truth), strict=True):
        assert ours < 1.5 * theirs + 2e-3 * (8 if dtype == "bfloat16" else 1)


def test_a_small_table_is_whole(monkeypatch):
    """And a large one never there."""
    sizes = []
    weights = attention._weights
    monkeypatch.setattr(attention, "_weights", lambda *inputs: sizes.append(weights(*inputs).shape) or weights(*inputs))
    inputs = parts(64, 64, 4)[:3]
    attention.attend(*inputs)
    assert sizes == [(2, 4, 64, 64)]
    for name, size in (("WHOLE_TABLE", 4 * 64 * 64 * 4 - 1), ("SLICE", 10 * 64 * 4)):
        monkeypatch.setattr(attention, name, size)
    sizes.clear()
    attention.attend(*inputs)
    assert set(sizes) == {(1, 10, 64)}


def test_in_a_block_that_forgets(sliced):
    """Gradient checkpointing around attention in slices, norms and GEGLU."""
    sliced(1000)
    block = corrections.SpatialTransformer(2, 16)
    shapes = [(2, 6, 6, 32), (2, 5, 24)]
    block.build(shapes)
    found = {}
    for forgets in (False, True):
        block.forgets = forgets
        inputs = [normal(*shape, seed=seed) for seed, shape in enumerate(shapes)]
        found[forgets] = all_of(lambda x, context: block([x, context]), inputs, normal(*shapes[0], seed=9))
    assert max(distances(found[True], found[False])) < 1e-6


@pytest.fixture(params=["as they are", "in one pass"])
def passes(request, monkeypatch):
    """Of large arrays XLA makes one pass on TensorFlow; here also of these."""
    if request.param == "in one pass":
        monkeypatch.setattr(lean, "LARGE", 0)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients(name, passes):
    ours, plain, shapes, outcome = FUNCTIONS[name]
    inputs = [normal(*shape, seed=seed, scale=2.0) for seed, shape in enumerate(shapes)]
    upstream = normal(*outcome, seed=9)
    assert max(distances(all_of(ours, inputs, upstream), all_of(plain, inputs, upstream))) < 2e-6


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_in_half_precision(name, dtype, passes):
    """Norms are computed in float32 and rounded once, GEGLU as by the plain one."""
    ours, plain, shapes, outcome = FUNCTIONS[name]
    half = [ops.cast(normal(*shape, seed=seed, scale=2.0), dtype) for seed, shape in enumerate(shapes)]
    upstream = ops.cast(normal(*outcome, seed=9), dtype)
    wide = [ops.cast(x, "float32") for x in half]
    truth = all_of(plain, wide, ops.cast(upstream, "float32"))
    given = half if name == "GEGLU" else [half[0], *wide[1:]]
    found = all_of(ours, given, upstream)
    assert keras.backend.standardize_dtype(found[0].dtype) == dtype == keras.backend.standardize_dtype(found[1].dtype)
    assert max(distances(found, truth)) < (1e-2 if dtype == "bfloat16" else 2e-3)


@pytest.mark.parametrize(
    "places, keys, size, dtype, fused",
    [
        (4096, 4096, 40, "bfloat16", True),
        (4096, 77, 40, "bfloat16", False),
        (256, 256, 160, "float16", False),
        (64, 64, 20, "bfloat16", False),
        (4096, 4096, 40, "float32", False),
    ],
)
def test_a_kernel_of_the_backend_is_for_shapes_that_it_takes(monkeypatch, places, keys, size, dtype, fused):
    """What cuDNN's gradient took on an H200, and what Keras would log an error for. (256, 256, 160) it takes on newer
    cards alone."""
    monkeypatch.setattr(attention, "has_accelerator", lambda: True)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    query, key = (keras.KerasTensor((2, 8, count, size), dtype) for count in (places, keys))
    assert attention._is_fused(query, key) == fused


@pytest.mark.large
@pytest.mark.skipif(keras.backend.backend() == "jax", reason="this is JAX")
def test_on_jax():
    line = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "--override-ini", "addopts=--import-mode=importlib"]
    done = subprocess.run(
        [*line, "-m", "not large", __file__], env=os.environ | {"KERAS_BACKEND": "jax"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout and "skipped" not in done.stdout
