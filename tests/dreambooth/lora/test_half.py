"""LoRA beside frozen weights in half precision: the arithmetic of the mixed precision in half the memory."""

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file

from keras_booth.bases import load_base
from keras_booth.dreambooth import DreamBooth, LoraConfig, load
from tests.helpers.booths import fixed_batch, small_booth
from tests.helpers.checkpoints.families import write_checkpoint

ALL = LoraConfig(rank=2, alpha=3.0, targets=("attention", "feed_forward", "convolution"))


def numpy(values):
    return [np.asarray(keras.ops.convert_to_numpy(value), "float32") for value in values]


def fill(booth):
    """Matrices B that are not zero."""
    rng = np.random.default_rng(0)
    for layer in booth.adapters.layers.values():
        layer.lora_kernel_b.assign(0.02 * rng.standard_normal(layer.lora_kernel_b.shape))


@pytest.fixture(scope="module", params=["bfloat16", "float16"])
def pair(request):
    """Models of the mixed precision and the half one, with the same weights, after two steps."""
    mixed = small_booth(dtype=f"mixed_{request.param}", lora=ALL)
    half = small_booth(dtype=request.param, lora=ALL)
    for model in (mixed, half):
        fill(model)
    for one, two in zip(mixed.weights, half.weights, strict=True):
        two.assign(one)
    batch = fixed_batch(mixed, [False, True])
    for model in (mixed, half):
        model.compile(keras.optimizers.SGD(1e-2), run_eagerly=True)
        for _ in range(2):
            model.train_on_batch(batch)
    return mixed, half


def test_trains_as_the_mixed_precision_does(pair):
    mixed, half = pair
    assert {variable.dtype for variable in half.adapters.variables} == {"float32"}
    assert {variable.dtype for variable in half.unet.non_trainable_variables} == {half.dtype_policy.name}
    for ours, theirs, name in zip(
        numpy(half.adapters.variables), numpy(mixed.adapters.variables), half.adapters.variables, strict=True
    ):
        np.testing.assert_array_equal(ours, theirs, err_msg=name.path)
    batch = fixed_batch(half, [False, True], seed=1)
    ours, theirs = (numpy([model(batch)["prediction"]]) for model in (half, mixed))
    np.testing.assert_array_equal(ours, theirs)


def test_float16_has_a_loss_scale(pair):
    _, half = pair
    scaled = isinstance(half.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (half.dtype_policy.name == "float16")


def test_keras_file(pair, tmp_path):
    _, half = pair
    half.save(tmp_path / "dog.keras")
    again = load(tmp_path / "dog.keras")
    for one, two in zip(half.weights, again.weights, strict=True):
        assert one.dtype == two.dtype
        np.testing.assert_array_equal(*numpy([one, two]))
    half.save(tmp_path / "small.keras", dtype="float16")
    smaller = load(tmp_path / "small.keras")
    for one, two in zip(half.adapters.variables, smaller.adapters.variables, strict=True):
        np.testing.assert_allclose(*numpy([one, two]), atol=1e-3)


def test_export_adds_the_product_in_single_precision(tmp_path):
    """A kernel in bfloat16 plus the product, none of which is rounded."""
    base = load_base(write_checkpoint("1.x", tmp_path / "checkpoint"), dtype="bfloat16")
    booth = DreamBooth(base, dtype="bfloat16", lora=LoraConfig(rank=2))
    fill(booth)
    tensors = load_file(booth.export_weights(tmp_path / "out") / "unet" / "diffusion_pytorch_model.safetensors")
    for name, layer in booth.adapters.layers.items():
        kernel, a, b = numpy([layer.kernel, layer.lora_kernel_a, layer.lora_kernel_b])
        exported = tensors[name.removeprefix("unet.") + ".weight"]
        np.testing.assert_allclose(exported, (kernel + a @ b).T, rtol=1e-6, atol=1e-7)


def test_weights_in_half_precision_are_not_trained():
    booth = small_booth(dtype="bfloat16")
    with pytest.raises(ValueError, match="too coarse.*mixed_bfloat16"):
        booth.compile()
