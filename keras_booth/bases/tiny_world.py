"""The sizes of the `tiny_world` base and where its package data lies."""

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
        sampling_steps=10,
        guidance_scale=3.0,
    )
