"""Drawing: what is computed once, what is computed in slices, and that memory does not grow with the count."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_booth.bases import DrawSettings, TextToImage
from keras_booth.bases import pipeline as pipeline_module
from keras_booth.bases.networks import attention
from keras_booth.bases.pipeline import in_slices
from keras_booth.diffusion import Sampling
from keras_booth.dreambooth import DreamBooth
from tests.helpers.booths import small_booth
from tests.helpers.places import ROOT

SCRIPT = """
import resource
from keras_booth.dreambooth import DreamBooth
booth = DreamBooth.from_preset("tiny_world", weights=None)
peaks = []
for count in (8, 96):
    assert len(booth.generate("a dog", count, steps=1, batch_size=8)) == count
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
print(peaks[1] - peaks[0])
"""


@pytest.mark.large  # in a process of its own; part of CI
def test_memory_does_not_grow_with_the_count():
    """Of 96 pictures, at 8 a batch, only their own bytes stay: here that is a megabyte."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # Of one batch the inner values alone take more.
    assert int(done.stdout.split()[-1]) < 60e6


@pytest.mark.large  # part of CI
def test_a_picture_does_not_depend_on_the_count():
    """Of the base in the package: where sums are taken in another order, a value may be rounded the other way."""
    booth = DreamBooth.from_preset("tiny_world")
    whole = booth.generate("a photo of a dog", 8, seed=5).astype("int")
    for count in (1, 3):
        apart = np.abs(booth.generate("a photo of a dog", count, seed=5) - whole[:count])
        assert apart.max() <= 1 and np.mean(apart > 0) < 1e-3


@pytest.mark.large  # part of CI
def test_attention_in_slices_draws_the_same(monkeypatch):
    """Of the base in the package: slices of 100 queries and less."""
    booth = DreamBooth.from_preset("tiny_world")
    whole = booth.generate("a photo of a dog in the snow", 4, seed=5).astype("int")
    monkeypatch.setattr(attention, "WHOLE_TABLE", 0)
    monkeypatch.setattr(attention, "SLICE", 100 * 32 * 4)
    apart = np.abs(DreamBooth.from_preset("tiny_world").generate("a photo of a dog in the snow", 4, seed=5) - whole)
    assert apart.max() <= 1 and np.mean(apart > 0) < 1e-3


def test_in_slices():
    sizes = []

    def function(arrays):
        sizes.append(len(arrays["a"]))
        return arrays["a"] + arrays["b"]

    a, b = np.arange(7.0), np.arange(7.0) ** 2
    np.testing.assert_array_equal(in_slices(function, {"a": a, "b": b}, 3), a + b)
    assert sizes == [3, 3, 3]


@pytest.fixture(scope="module")
def booth():
    return small_booth()


def test_prompts_are_encoded_once_each(booth, monkeypatch):
    text_to_image = TextToImage(booth.base)
    calls = []
    encode = text_to_image.encoder.predict_on_batch
    monkeypatch.setattr(text_to_image.encoder, "predict_on_batch", lambda inputs: calls.append(1) or encode(inputs))
    prompts = ["a dog", "a cat", "a dog", "a dog", "a cat"]
    settings = DrawSettings(Sampling(steps=1), guidance_scale=1.0)
    text_to_image.draw(prompts, [(0, index) for index in range(5)], settings, batch_size=2)
    assert len(calls) == 3  # and the empty prompt


@pytest.mark.parametrize("scale, calls", [(1.0, 1), (3.0, 2)])
def test_no_guidance_takes_half(booth, monkeypatch, scale, calls):
    """Rows that the UNet gets, for each picture."""
    rows = []
    unet = booth.base.unet
    monkeypatch.setattr(
        booth.base, "unet", lambda inputs, training: rows.append(inputs[0].shape[0]) or unet(inputs, training=training)
    )
    text_to_image = TextToImage(booth.base)
    settings = DrawSettings(Sampling(steps=2), guidance_scale=scale)
    inputs = text_to_image.inputs([(0, 0), (0, 1)], settings) | text_to_image.encode(["a dog"] * 2)
    if scale != 1:
        inputs |= {f"negative_{name}": array for name, array in text_to_image.encode([""] * 2).items()}
    inputs |= text_to_image.planned(settings, 2, over=False)
    text_to_image.loop({name: keras.ops.convert_to_tensor(array) for name, array in inputs.items()})
    assert rows == [2 * calls] * 2


def test_one_program_serves_all_settings(booth):
    """Whatever the sampler, its steps and its levels. That each is followed rightly, tests/diffusion shows."""
    text_to_image = TextToImage(booth.base)
    for sampling in (Sampling("ddim", 1), Sampling("euler", 2), Sampling("dpmpp_2m", 17)):
        text_to_image.draw(["a dog"], [(0, 0)], DrawSettings(sampling, guidance_scale=1.0))
    assert len(text_to_image.loops) == 1


def test_the_decoder_gets_few_at_a_time(booth, monkeypatch):
    """As many as one picture of 512 x 512 pixels has."""
    monkeypatch.setattr(pipeline_module, "DECODED_PIXELS", 3 * 16 * 16)
    text_to_image = TextToImage(booth.base)
    sizes = []
    decode = text_to_image.decoder.predict_on_batch
    monkeypatch.setattr(
        text_to_image.decoder, "predict_on_batch", lambda inputs: sizes.append(len(inputs["latents"])) or decode(inputs)
    )
    latents = np.random.default_rng(0).standard_normal((8, *booth.base.latent_shape)).astype("float32")
    pictures = text_to_image.decode(latents)
    assert sizes == [3, 3, 3] and pictures.shape == (8, 16, 16, 3)
    whole = np.asarray(booth.base.decode(latents))
    assert np.abs(pictures - np.round((whole + 1) * 127.5)).max() <= 1
