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
# The side of the pictures of each generation of the base, in pixels.
SIDES = {1: 64, 2: 128}
SHIPPED = 1  # the generation whose weights are package data
IMAGE_SIZE = SIDES[SHIPPED]


def tiny_world_config(vocabulary_size: int, generation: int = SHIPPED) -> BaseConfig:
    """`BaseConfig` of the small base that ships with the package.

    The latents are normalized inside of the autoencoder, hence a scale of 1.

    Args:
        vocabulary_size: int.
        generation: int, a key of `SIDES`.
    """
    text_encoder, unet, autoencoder = {1: _parts_of_64_pixels, 2: _parts_of_128_pixels}[generation](vocabulary_size)
    return BaseConfig(
        name="tiny_world",
        image_size=SIDES[generation],
        text_encoder=text_encoder,
        unet=unet,
        autoencoder=autoencoder,
        schedule=NoiseSchedule(prediction_type="v_prediction", timestep_spacing="trailing"),
        latent_scale=1.0,
        sampling_steps=10,
        guidance_scale=3.0,
    )


def _parts_of_64_pixels(vocabulary_size):
    """An autoencoder of factor 4 and eight channels, where Stable Diffusion's has factor 8 and four, keeps patterns
    and faces of pictures this small."""
    return (
        TextEncoderConfig(vocabulary_size=vocabulary_size, max_length=32, width=128, layers=3, heads=4),
        UNetConfig(
            latent_channels=8,
            widths=(64, 128, 256),
            heads=(2, 4, 0),
            context_width=128,
            blocks_per_level=1,
            time_features=64,
        ),
        AutoencoderConfig(latent_channels=8, widths=(32, 32, 64), encoder_blocks=1, decoder_blocks=2),
    )


def _parts_of_128_pixels(vocabulary_size):
    """Stable Diffusion's factor of 8, so that the denoiser costs what it cost at 64 pixels, and sixteen channels."""
    return (
        TextEncoderConfig(vocabulary_size=vocabulary_size, max_length=32, width=128, layers=4, heads=4),
        UNetConfig(
            latent_channels=16,
            widths=(64, 160, 256),
            heads=(2, 5, 0),
            middle_heads=8,
            context_width=128,
            blocks_per_level=1,
            time_features=64,
            groups=8,
        ),
        AutoencoderConfig(latent_channels=16, widths=(32, 64, 128, 192), encoder_blocks=1, decoder_blocks=2, groups=8),
    )
