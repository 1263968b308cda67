"""Whether a file can hold what its config describes: looked at before anything of that size is made."""

from collections.abc import Sequence
from pathlib import Path

from keras_booth.bases.base import BaseConfig
from keras_booth.bases.networks.autoencoder import AutoencoderConfig
from keras_booth.bases.networks.text_encoder import TextEncoderConfig
from keras_booth.bases.networks.unet import UNetConfig
from keras_booth.bases.tokenizer import Tokenizer
from keras_booth.tools.errors import CheckpointError

# Embeddings that a text encoder may have beyond its vocabulary, for added tokens and to round the number up: this many,
# and an eighth of the vocabulary.
SPARE_EMBEDDINGS, SPARE_SHARE = 64, 8


def require_room(config: BaseConfig | AutoencoderConfig, paths: Sequence[Path], bytes_each: int = 1) -> None:
    """Raises a `CheckpointError` for weights that cannot be in files of these sizes.

    Args:
        config: what the files are said to hold.
        paths: list of `Path`. Of one that is missing somebody else complains.
        bytes_each: int, that a number takes at least.
    """
    numbers = least_numbers(config)
    size = sum(path.stat().st_size for path in paths if path.is_file())
    if paths and size and numbers * bytes_each > size:
        raise CheckpointError(
            f"The config describes at least {numbers:.2g} weights, and the {size / 1e6:.3g} MB of the file cannot hold "
            f"them: one of the two is of another model. Received: {paths[0]}"
        )


def least_numbers(config: BaseConfig | AutoencoderConfig) -> int:
    """A number of weights that a base has at least, without making it.

    Args:
        config: what is described.
    """
    if isinstance(config, AutoencoderConfig):
        return autoencoder_numbers(config)
    return (
        sum(map(text_numbers, config.text_encoders.values()))
        + unet_numbers(config.unet)
        + autoencoder_numbers(config.autoencoder)
    )


def text_numbers(config: TextEncoderConfig) -> int:
    """`least_numbers` of a text encoder: embeddings, attention, and the dense layers of four times its width."""
    return config.width * (config.vocabulary_size + config.max_length + 12 * config.layers * config.width)


def unet_numbers(config: UNetConfig) -> int:
    """`least_numbers` of a UNet: its embedded timesteps, the second convolution of each block, and attentions."""
    total = 4 * config.widths[0] * (config.time_features + 4 * config.widths[0])
    total += 2 * 9 * config.latent_channels * config.widths[0]
    for level, (width, heads) in enumerate(zip(config.widths, config.heads, strict=True)):
        attention = config.depth(level) * (2 * config.context_width * width + 14 * width**2) if heads else 0
        total += (2 * config.blocks_per_level + 1) * (9 * width**2 + attention)
    return total


def autoencoder_numbers(config: AutoencoderConfig) -> int:
    """`least_numbers` of an autoencoder: the second convolution of each block, and those of the latents."""
    blocks = config.encoder_blocks + config.decoder_blocks
    return sum(9 * blocks * width**2 for width in config.widths) + 27 * config.latent_channels * config.widths[-1]


def require_vocabulary(config: BaseConfig, tokenizer: Tokenizer, source: object) -> None:
    """Raises a `CheckpointError` for a tokenizer of another text encoder.

    Args:
        config: `BaseConfig`.
        tokenizer: `Tokenizer`.
        source: where it comes from, for the sentence.
    """
    largest = max([tokenizer.vocabulary_size - 1, *(token.id for token in tokenizer.added)])
    for text_encoder in config.text_encoders.values():
        embeddings = text_encoder.vocabulary_size
        if 0 <= embeddings - 1 - largest <= SPARE_EMBEDDINGS + largest // SPARE_SHARE:
            continue
        raise CheckpointError(
            f"The vocabulary has {largest + 1} tokens, and the text encoder embeddings of {embeddings}: it is the "
            f"vocabulary of another model. Received: {source}"
        )
