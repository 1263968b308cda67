"""Checkpoints of all families compute what diffusers computes (goldens of `tests/helpers/checkpoints`)."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_booth.bases.formats.names import DIFFUSERS, component_tensors
from keras_booth.dreambooth import DreamBooth
from tests.helpers.checkpoints.families import (
    CLASS_PROMPT,
    INSTANCE_PROMPT,
    NEGATIVE,
    PROMPT,
    WATCHED,
    draw,
    goldens,
    inputs,
    training_batch,
)

BOUND = 1e-4


def error(ours, theirs):
    """Relative error ||ours - theirs|| / ||theirs||."""
    ours = np.asarray(keras.ops.convert_to_numpy(ours), "float64")
    return np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)


class TestComponents:
    def test_tokens(self, base, family):
        np.testing.assert_array_equal(base.tokenize([PROMPT, NEGATIVE]), goldens(family)["tokens"])

    def test_text_encoder(self, base, family):
        """The embeddings of one or two, and the pooled one where there is any."""
        golden = goldens(family)
        made = base.condition(golden["tokens"])
        assert error(made.pop("context"), golden["text_encoder"]) <= BOUND
        assert list(made) == (["pooled"] if family == "xl" else [])
        for name, array in made.items():
            assert error(array, golden[name]) <= BOUND

    def test_unet(self, base, family):
        given = inputs(family)
        prediction = base.denoise(given["latents"], given["timesteps"], given)
        assert error(prediction, goldens(family)["unet"]) <= BOUND

    def test_moments(self, base, family):
        assert error(base.image_encoder(inputs(family)["pictures"]), goldens(family)["moments"]) <= BOUND

    def test_decoder(self, base, family):
        assert error(base.decoder(inputs(family)["latents"]), goldens(family)["decoder"]) <= BOUND


def test_pipeline(base, family):
    """20 DDIM steps at guidance 7.5: the same picture, to 2/255 at most."""
    ours = draw(base, inputs(family)["start"], 20)
    assert np.abs(ours - goldens(family)["picture"]).max() <= 2 / 255


@pytest.mark.parametrize("family", ["xl"], indirect=True)
def test_zeros_for_an_empty_negative_prompt(base, family):
    """As `force_zeros_for_empty_prompt` has it, and diffusers draws without a negative prompt."""
    assert base.config.zeros_for_empty
    ours = draw(base, inputs(family)["start"], 20, negative="")
    assert np.abs(ours - goldens(family)["picture_of_zeros"]).max() <= 2 / 255
    base.config = dataclasses.replace(base.config, zeros_for_empty=False)
    others = draw(base, inputs(family)["start"], 20, negative="")
    base.config = dataclasses.replace(base.config, zeros_for_empty=True)
    assert np.abs(others - goldens(family)["picture_of_zeros"]).max() > 10 / 255


@pytest.mark.parametrize("count", [1, 3])
def test_dreambooth_step(folder, family, count):
    """Loss and gradients equal those of diffusers' `train_dreambooth.py` for lambda = 0, 0.5 and 1."""
    golden = goldens(family)
    booth = DreamBooth.from_preset(str(folder), identifier="sks", class_noun="dog")
    batch = training_batch(count, family)
    batch["tokens"] = booth.tokenize([INSTANCE_PROMPT] * count + [CLASS_PROMPT] * count)
    watched = {tensor.name: tensor for tensor in component_tensors(booth.base, DIFFUSERS)["unet"]}
    watched = [watched[name] for name in WATCHED[family]]
    for weight in (0.0, 0.5, 1.0):
        booth.compile(prior_loss_weight=weight)
        loss, gradients = loss_and_gradients(booth, batch, [tensor.variable for tensor in watched])
        assert loss == pytest.approx(float(golden[f"dreambooth/{count}/{weight}/loss"]), rel=BOUND)
        for tensor, gradient in zip(watched, gradients, strict=True):
            theirs = golden[f"dreambooth/{count}/{weight}/{tensor.name}"]
            assert error(tensor.kind.export(gradient), theirs) <= BOUND


def loss_and_gradients(booth, batch, variables):
    """The objective of a batch, and its gradient by some variables, on the running backend."""
    import tensorflow as tf

    batch, _, _ = booth._prepare(batch)
    with tf.GradientTape() as tape:
        loss = booth.compute_loss(batch, None, booth(batch))
    gradients = tape.gradient(loss, [variable.value for variable in variables])
    return float(loss), [np.asarray(gradient) for gradient in gradients]
