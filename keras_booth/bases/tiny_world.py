"""The sizes of the `tiny_world` base and where its package data lies."""

import dataclasses
import pathlib

from keras_booth.bases.base import BaseConfig
from keras_booth.bases.networks.autoencoder import AutoencoderConfig
from keras_booth.bases.networks.text_encoder import TextEncoderConfig
from keras_booth.bases.networks.unet import UNetConfig
from keras_booth.diffusion import NoiseSchedule

ASSETS = pathlib.Path(__file__).parent / "assets"
VOCABULARY = ASSETS / "bpe_vocabulary.txt.gz"
WEIGHTS = ASSETS / "tiny_world.safetensors"
# What it can draw: the keys of `keras_booth.tiny_world.art.subjects.DRAWERS`.
CLASSES = (
    "dog",
    "cat",
    "rabbit",
    "duck",
    "turtle",
    "teapot",
    "backpack",
    "vase",
    "car",
    "boot",
)
IMAGE_SIZE = 128  # side of its pictures in pixels


def tiny_xl_config(vocabulary_size: int) -> BaseConfig:
    """`BaseConfig` of a base of tiny_world's size made as Stable Diffusion XL is: two text encoders, a pooled embedding
    and sizes of pictures, several transformer blocks on a level. There are no weights for it: it is there to try what
    is built for XL without downloading seven gigabytes.

    Args:
        vocabulary_size: int.
    """
    text = {"vocabulary_size": vocabulary_size, "max_length": 32, "layers": 4, "heads": 4, "penultimate": True}
    tiny = tiny_world_config(vocabulary_size)
    return dataclasses.replace(
        tiny,
        name="tiny_xl",
        text_encoder=TextEncoderConfig(width=128, **text),
        text_encoder_2=TextEncoderConfig(width=160, activation="gelu", padding="!", pooled_width=96, **text),
        unet=dataclasses.replace(
            tiny.unet,
            heads=(0, 5, 8),
            context_width=128 + 160,
            linear_projection=True,
            depths=(1, 1, 2),
            pooled_width=96,
            size_features=64,
        ),
        schedule=NoiseSchedule(),
        latent_scale=0.13025,
        zeros_for_empty=True,
    )


def tiny_world_config(vocabulary_size: int) -> BaseConfig:
    """`BaseConfig` of the small base that ships with the package.

    The autoencoder has Stable Diffusion's factor of 8, and sixteen channels for faces and patterns. The latents are
    normalized inside of it, hence a scale of 1.

    Args:
        vocabulary_size: int.
    """
    return BaseConfig(
        name="tiny_world",
        image_size=IMAGE_SIZE,
        text_encoder=TextEncoderConfig(vocabulary_size=vocabulary_size, max_length=32, width=128, layers=4, heads=4),
        unet=UNetConfig(
            latent_channels=16,
            widths=(64, 160, 256),
            heads=(2, 5, 0),
            middle_heads=8,
            context_width=128,
            blocks_per_level=1,
            time_features=64,
            groups=8,
        ),
        autoencoder=AutoencoderConfig(
            latent_channels=16, widths=(32, 64, 128, 192), encoder_blocks=1, decoder_blocks=2, groups=8
        ),
        schedule=NoiseSchedule(prediction_type="v_prediction", timestep_spacing="trailing"),
        latent_scale=1.0,
        sampling_steps=7,
        rho=3.0,
        guidance_scale=3.0,
    )
