"""Shared helpers: a base small enough to train in seconds, made of the same parts as the real ones."""

import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest

from keras_booth.bases import BaseConfig, StableDiffusionBase, Tokenizer
from keras_booth.bases.networks.autoencoder import AutoencoderConfig
from keras_booth.bases.networks.text_encoder import TextEncoderConfig
from keras_booth.bases.networks.unet import UNetConfig
from keras_booth.bases.tiny_world import VOCABULARY
from keras_booth.diffusion import NoiseSchedule
from keras_booth.dreambooth import DreamBooth
from tests.bases.checkpoints.families import FAMILIES, write_checkpoint

SHARED = pathlib.Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="module", autouse=True)
def fresh_session():
    """Let go of the models of each file: the graphs of hundreds would slow down the rest."""
    yield
    keras.utils.clear_session()


@pytest.fixture(scope="session")
def photographs():
    """Folder of real photographs, by subject; the test is skipped where they are not."""
    folder = SHARED / "data" / "dreambooth"
    if not folder.is_dir():
        pytest.skip("../shared/data/dreambooth is not there")
    return folder


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    """Each family of Stable Diffusion, by turns."""
    return request.param


@pytest.fixture(scope="module")
def folder(family, tmp_path_factory):
    """Folder of a checkpoint of the family in diffusers' format."""
    return write_checkpoint(family, tmp_path_factory.mktemp("checkpoint"))


def small_config(prediction_type="epsilon"):
    """Two levels, 16 x 16 pixels, latents of 8 x 8."""
    return BaseConfig(
        name="small",
        image_size=16,
        text_encoder=TextEncoderConfig(vocabulary_size=1211, max_length=12, width=32, layers=1, heads=2),
        unet=UNetConfig(widths=(32, 64), heads=(2, 0), context_width=32, blocks_per_level=1, time_features=32),
        autoencoder=AutoencoderConfig(widths=(32, 32), encoder_blocks=1, decoder_blocks=1),
        schedule=NoiseSchedule(prediction_type=prediction_type),
        sampling_steps=3,
        guidance_scale=2.0,
    )


def small_booth(dtype="float32", prediction_type="epsilon", seed=0, **kwargs):
    """A `DreamBooth` on random weights."""
    keras.utils.set_random_seed(seed)
    config = small_config(prediction_type)
    base = StableDiffusionBase(config, Tokenizer(VOCABULARY.read_bytes(), max_length=12), dtype)
    return DreamBooth(base, dtype=dtype, **kwargs)


def fixed_batch(booth, priors, seed=0):
    """A batch with nothing left to chance: pictures, tokens, both noises and timesteps.

    Args:
        priors: sequence of bool, one a sample: whether it is a class image.
    """
    rng = np.random.default_rng(seed)
    size, shape = len(priors), (len(priors), *booth.base.latent_shape)
    prompts = [booth.class_prompt if prior else booth.instance_prompt for prior in priors]
    return {
        "images": rng.uniform(-1, 1, (size, *booth.image_size, 3)).astype("float32"),
        "tokens": booth.tokenize(prompts),
        "is_prior": np.array(priors),
        "posterior_noise": rng.standard_normal(shape).astype("float32"),
        "noise": rng.standard_normal(shape).astype("float32"),
        "timesteps": rng.integers(0, 1000, size).astype("int32"),
    }
