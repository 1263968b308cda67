"""How large a base is, without making it."""

from collections.abc import Iterable

import keras

from keras_booth.bases.base import BaseConfig, StableDiffusionBase
from keras_booth.bases.formats.names import named_layers
from keras_booth.bases.networks.attention import WHOLE_TABLE


def shape_of(config: BaseConfig) -> StableDiffusionBase:
    """A base whose variables have shapes and no values: a gigabyte's model costs nothing.

    Args:
        config: `BaseConfig`.

    Returns:
        `StableDiffusionBase`, to count parameters of and nothing else.
    """
    with keras.StatelessScope(initialize_variables=False):
        return StableDiffusionBase(config)


def lora_parameters(base: StableDiffusionBase, names: Iterable[str], rank: int) -> int:
    """Number of parameters of A and B for some layers.

    Args:
        base: `StableDiffusionBase`.
        names: full names of layers, as `named_layers` has them.
        rank: int.
    """
    layers = named_layers(base)
    total = 0
    for name in names:
        *window, inputs, outputs = layers[name].kernel.shape
        area = 1
        for side in window:
            area *= side
        total += rank * (area * inputs + outputs)
    return total


def activation_floats(config: BaseConfig, checkpointing: bool = False) -> int:
    """Roughly how many numbers the UNet keeps of one sample until the backward pass.

    Counts what each block's operations put out: ten times its channels in a residual block, 33 in a transformer block,
    and the weights of attentions whose table is kept whole (`networks/attention.py`). With gradient checkpointing it is
    the blocks' inputs, and all of the largest block.

    Args:
        config: `BaseConfig`.
        checkpointing: bool.
    """
    if checkpointing:
        return checkpointed_floats(config)
    unet, (height, width) = config.unet, config.latent_size
    length = config.text_encoder.max_length
    total = 0
    for level, (channels, heads) in enumerate(zip(unet.widths, unet.heads, strict=True)):
        pixels = height * width // 4**level
        # Down and up again: on the way up the input of a block is twice as wide.
        blocks = 2 * unet.blocks_per_level + 1
        total += blocks * 10 * channels * pixels + (unet.blocks_per_level + 1) * 2 * channels * pixels
        total += blocks * unet.depth(level) * transformer_floats(channels, heads, pixels, length)
    middle = unet.depth(-1) * transformer_floats(channels, unet.middle_heads, pixels, length)
    return total + 20 * channels * pixels + middle


def checkpointed_floats(config):
    """`activation_floats` with gradient checkpointing."""
    unet, (height, width) = config.unet, config.latent_size
    kept, largest = 0, 0
    for level, (channels, heads) in enumerate(zip(unet.widths, unet.heads, strict=True)):
        pixels = height * width // 4**level
        # A residual block and a transformer block each; on the way up with what is joined from the way down.
        kept += (2 * (2 * unet.blocks_per_level + 1) + unet.blocks_per_level + 1) * channels * pixels
        transformer = transformer_floats(channels, heads, pixels, config.text_encoder.max_length) * unet.depth(level)
        largest = max(largest, 12 * channels * pixels, transformer)
    return kept + largest


def transformer_floats(channels, heads, pixels, length):
    """`activation_floats` of one transformer block; 0 for a level without attention."""
    if not heads:
        return 0
    tables = [heads * pixels * keys for keys in (pixels, length)]
    return 33 * channels * pixels + sum(table for table in tables if 4 * table <= WHOLE_TABLE)
