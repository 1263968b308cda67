"""Adam in one pass is Adam, and the blocks that forget have the same gradients."""

import keras
import numpy as np
import pytest

from keras_booth.dreambooth import LoraConfig
from keras_booth.dreambooth.optimizers.assembly import assemble
from keras_booth.dreambooth.optimizers.fused import FusedAdam
from tests.helpers.booths import fixed_batch, small_booth

OPTIONS = {
    "adam": (keras.optimizers.Adam, {}),
    "decay": (keras.optimizers.AdamW, {"weight_decay": 0.3}),
    "clipped": (keras.optimizers.AdamW, {"global_clipnorm": 0.5, "epsilon": 1e-3}),
    "each clipped": (keras.optimizers.AdamW, {"clipnorm": 0.5, "beta_1": 0.5, "beta_2": 0.9}),
    "accumulated": (keras.optimizers.AdamW, {"global_clipnorm": 0.5, "gradient_accumulation_steps": 2}),
    "averaged": (keras.optimizers.AdamW, {"use_ema": True}),
}


@pytest.mark.floor
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow only")
@pytest.mark.parametrize("name", OPTIONS)
def test_equals_keras(name):
    kind, options = OPTIONS[name]
    rng = np.random.default_rng(0)
    start = [rng.standard_normal(shape).astype("float32") for shape in ((3, 4), (4,), (3, 4))]
    gradients = [[rng.standard_normal(array.shape).astype("float32") for array in start] for _ in range(4)]
    ends = []
    for fused in (False, True):
        variables = [keras.Variable(array) for array in start]
        optimizer = kind(0.1, **options)
        if fused:
            optimizer = assemble(optimizer, fused=True)
            assert isinstance(optimizer, FusedAdam)
        optimizer.build(variables)
        for gradient in gradients:
            optimizer.apply([keras.ops.convert_to_tensor(array) for array in gradient], variables)
        ends.append([variable.numpy() for variable in [*variables, *optimizer.variables]])
    for ours, theirs in zip(*ends, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert keras.optimizers.serialize(optimizer)["class_name"] == kind.__name__


def test_leaves_others_alone():
    for optimizer in (keras.optimizers.Lion(), keras.optimizers.AdamW(amsgrad=True)):
        assert assemble(optimizer, fused=True) is optimizer


@pytest.mark.floor
@pytest.mark.large
@pytest.mark.parametrize("lora", [None, LoraConfig(rank=2)], ids=["full", "lora"])
def test_gradient_checkpointing_changes_no_gradient(lora):
    ends = []
    for wanted in (False, True):
        booth = small_booth(train_text_encoder=True, lora=lora)
        booth.compile(keras.optimizers.SGD(1.0), gradient_checkpointing=wanted)
        blocks = [layer for layer in booth.unet.layers if getattr(layer, "forgets", False)]
        assert bool(blocks) == wanted
        booth.train_on_batch(fixed_batch(booth, [False, True]))
        ends.append([keras.ops.convert_to_numpy(variable) for variable in booth.trainable_variables])
    for ours, theirs in zip(*ends, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
