"""A base small enough to train in seconds, made of the same parts as the real ones."""

import contextlib
import dataclasses

import keras
import numpy as np

from keras_booth.bases import BaseConfig, StableDiffusionBase, Tokenizer
from keras_booth.bases.formats.original.modelspec import SIZES
from keras_booth.bases.networks.autoencoder import AutoencoderConfig
from keras_booth.bases.networks.text_encoder import TextEncoderConfig
from keras_booth.bases.networks.unet import UNetConfig
from keras_booth.diffusion import NoiseSchedule
from keras_booth.dreambooth import DreamBooth
from tests.helpers.places import VOCABULARY

TOKENIZER = Tokenizer(VOCABULARY.read_bytes(), max_length=12)


def small_config(prediction_type="epsilon"):
    """Two levels, 16 x 16 pixels, latents of 8 x 8."""
    return BaseConfig(
        name="small",
        image_size=16,
        text_encoder=TextEncoderConfig(TOKENIZER.vocabulary_size, TOKENIZER.max_length, width=32, layers=1, heads=2),
        unet=UNetConfig(widths=(32, 64), heads=(2, 0), context_width=32, blocks_per_level=1, time_features=32),
        autoencoder=AutoencoderConfig(widths=(32, 32), encoder_blocks=1, decoder_blocks=1),
        schedule=NoiseSchedule(prediction_type=prediction_type),
        sampling_steps=3,
        guidance_scale=2.0,
    )


def small_xl_config():
    """The same made as Stable Diffusion XL is: two text encoders, a pooled embedding, sizes, two transformer blocks."""
    text = {"vocabulary_size": TOKENIZER.vocabulary_size, "max_length": TOKENIZER.max_length, "heads": 2}
    small = small_config()
    return dataclasses.replace(
        small,
        name="small_xl",
        text_encoder=TextEncoderConfig(width=32, layers=2, penultimate=True, **text),
        text_encoder_2=TextEncoderConfig(
            width=64, layers=2, activation="gelu", padding="!", penultimate=True, pooled_width=48, **text
        ),
        unet=dataclasses.replace(
            small.unet, heads=(0, 2), context_width=96, depths=(1, 2), pooled_width=48, size_features=16
        ),
        zeros_for_empty=True,
    )


def full_size_config(version, prediction_type="epsilon", **changes):
    unet, text_encoder = SIZES[version]
    schedule = NoiseSchedule(prediction_type=prediction_type)
    sizes = {"image_size": 512, "unet": unet, "text_encoder": text_encoder, "schedule": schedule}
    return BaseConfig(**({"name": "any name"} | sizes | changes))


def small_booth(dtype="float32", prediction_type="epsilon", seed=0, config=None, **kwargs):
    """A `DreamBooth` on random weights."""
    keras.utils.set_random_seed(seed)
    config = config or small_config(prediction_type)
    base = StableDiffusionBase(config, TOKENIZER, dtype)
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


@contextlib.contextmanager
def changed_weights(booth):
    """A little training, for a while."""
    weights = booth.unet.trainable_weights[-2:]
    before = [keras.ops.convert_to_numpy(weight).copy() for weight in weights]
    for weight, value in zip(weights, before, strict=True):
        weight.assign(value * 1.2 + 0.1)
    yield
    for weight, value in zip(weights, before, strict=True):
        weight.assign(value)
