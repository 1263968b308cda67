"""The sizes of the `tiny_world` base and where its package data lies."""

import pathlib

from keras_booth.bases.autoencoder import AutoencoderConfig
from keras_booth.bases.base import BaseConfig
from keras_booth.bases.text_encoder import TextEncoderConfig
from keras_booth.bases.unet import UNetConfig
from keras_booth.diffusion import NoiseSchedule

ASSETS = pathlib.Path(__file__).parent / "assets"
VOCABULARY = ASSETS / "bpe_vocabulary.txt.gz"
WEIGHTS = ASSETS / "tiny_world.safetensors"
JUDGE = ASSETS / "judge.safetensors"
IMAGE_SIZE = 64


def tiny_world_config(vocabulary_size):
    """`BaseConfig` of the small base that ships with the package.

    An autoencoder of factor 4 and eight channels, where Stable Diffusion's has factor 8 and four, keeps patterns and
    faces of pictures this small. The latents are normalized inside of it, hence a scale of 1.
    """
    return BaseConfig(
        name="tiny_world",
        image_size=IMAGE_SIZE,
        text_encoder=TextEncoderConfig(vocabulary_size=vocabulary_size, max_length=32, width=128, layers=3, heads=4),
        unet=UNetConfig(
            latent_channels=8,
            widths=(64, 128, 256),
            heads=(2, 4, 0),
            context_width=128,
            blocks_per_level=1,
            time_features=64,
        ),
        autoencoder=AutoencoderConfig(latent_channels=8, widths=(32, 32, 64), encoder_blocks=1, decoder_blocks=2),
        schedule=NoiseSchedule(prediction_type="v_prediction", timestep_spacing="trailing"),
        latent_scale=1.0,
        sampling_steps=10,
        guidance_scale=3.0,
    )
