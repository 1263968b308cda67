"""A training step with LoRA has the loss and the gradients of diffusers' `train_dreambooth_lora_sdxl.py`.

Text encoders are trained, too; the sizes of the photographs are true ones. Goldens of `make_goldens.py`.
"""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from keras_booth.dreambooth import DreamBooth
from tests.helpers.checkpoints.families import CLASS_PROMPT, INSTANCE_PROMPT, STEP_LAYERS, training_batch

BOUND = 1e-4


@pytest.fixture(scope="module")
def booth(folder):
    booth = DreamBooth.from_preset(str(folder), identifier="sks", class_noun="dog", train_text_encoder=True)
    booth.load_lora(pathlib.Path(__file__).with_name("xl.safetensors"))
    return booth


@pytest.mark.parametrize("family", ["xl"], indirect=True)
@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_loss_and_gradients(booth, family, weight):
    golden = np.load(pathlib.Path(__file__).with_name(f"{family}.npz"))
    batch = training_batch(2, family)
    batch["tokens"] = booth.tokenize([INSTANCE_PROMPT] * 2 + [CLASS_PROMPT] * 2)
    booth.compile(prior_loss_weight=weight)
    batch, _, _ = booth._prepare(batch)
    layers = booth.adapters.layers
    matrices = [getattr(layers[name], part) for name in STEP_LAYERS for part in ("lora_kernel_a", "lora_kernel_b")]
    with tf.GradientTape() as tape:
        loss = booth.compute_loss(batch, None, booth(batch, training=True))
    gradients = tape.gradient(loss, [matrix.value for matrix in matrices])
    assert float(loss) == pytest.approx(float(golden[f"step/{weight}/loss"]), rel=BOUND)
    names = [f"step/{weight}/{name}/{part}" for name in STEP_LAYERS for part in ("down", "up")]
    for name, gradient in zip(names, gradients, strict=True):
        ours, theirs = np.asarray(gradient).T, golden[name]
        assert np.linalg.norm(ours - theirs) <= BOUND * np.linalg.norm(theirs), name
