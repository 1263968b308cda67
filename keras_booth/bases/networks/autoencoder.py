"""The variational autoencoder of Stable Diffusion, of KerasCV's blocks, described by a config."""

import dataclasses

import keras

from keras_booth.bases.networks.checks import MOST_BLOCKS, check_count, check_groups, check_widths
from keras_booth.bases.networks.corrections import AttentionBlock, GroupNormalization, PaddedConv2D, ResnetBlock
from keras_booth.tools.files.typed_fields import check_types

# Stable Diffusion clips the posterior's log-variance, whose tails would overflow the exponential.
LOG_VARIANCE = -30.0, 20.0


@dataclasses.dataclass(frozen=True)
class AutoencoderConfig:
    """Sizes of the autoencoder; the defaults are Stable Diffusion's.

    Args:
        latent_channels: int. Channels of the latents.
        widths: tuple of int, one a resolution level from the picture down; multiples of 32. Each level but the last
            halves the resolution, so that the factor is `2 ** (len(widths) - 1)`.
        encoder_blocks: int. Residual blocks of a level of the encoder.
        decoder_blocks: int. Residual blocks of a level of the decoder.
        groups: int. Groups of the group norms; divides the widths. In groups of one channel a norm takes from each
            channel its mean over the picture, and with it the picture's colors: narrow levels want fewer than 32.
    """

    latent_channels: int = 4
    widths: tuple[int, ...] = (128, 256, 512, 512)
    encoder_blocks: int = 2
    decoder_blocks: int = 3
    groups: int = 32

    def __post_init__(self):
        check_types(self)
        object.__setattr__(self, "widths", tuple(self.widths))
        check_widths(self.widths)
        check_count("latent_channels", "latent_channels", self.latent_channels)
        check_count("encoder_blocks", "layers_per_block", self.encoder_blocks, MOST_BLOCKS)
        check_count("decoder_blocks", "layers_per_block", self.decoder_blocks, MOST_BLOCKS + 1)
        check_groups(self.groups, self.widths)

    @property
    def factor(self) -> int:
        """Pixels per latent along one side."""
        return 2 ** (len(self.widths) - 1)


def build_image_encoder(config: AutoencoderConfig, name: str = "image_encoder") -> keras.Model:
    """Pictures -> moments of the posterior, unscaled, in the weight order of KerasCV's `ImageEncoder`.

    KerasCV's own returns the mean only, already scaled by 0.18215; training needs to sample from the posterior
    (LDM, arXiv:2112.10752, section 3.1).

    Returns:
        `keras.Model` from float `(batch, H, W, 3)` in `[-1, 1]` to `(batch, H / factor, W / factor, 2 * channels)`:
        mean, then log-variance.
    """
    last = len(config.widths) - 1
    x = pictures = keras.Input((None, None, 3), name="pictures")
    x = PaddedConv2D(config.widths[0], 3, padding=1)(x)
    for level, width in enumerate(config.widths):
        for _ in range(config.encoder_blocks):
            x = ResnetBlock(width, config.groups)(x)
        if level < last:
            x = PaddedConv2D(width, 3, padding=((0, 1), (0, 1)), strides=2)(x)
    x = ResnetBlock(config.widths[last], config.groups)(x)
    x = AttentionBlock(config.widths[last], config.groups)(x)
    x = ResnetBlock(config.widths[last], config.groups)(x)
    x = GroupNormalization(config.groups, epsilon=1e-6)(x)
    x = keras.layers.Activation("swish")(x)
    x = PaddedConv2D(2 * config.latent_channels, 3, padding=1)(x)
    x = PaddedConv2D(2 * config.latent_channels, 1)(x)
    return keras.Model(pictures, x, name=name)


def build_decoder(config: AutoencoderConfig, name: str = "decoder") -> keras.Model:
    """Latents, unscaled, -> pictures, in the weight order of KerasCV's `Decoder`.

    Returns:
        `keras.Model` from float `(batch, h, w, channels)` to `(batch, h * factor, w * factor, 3)`, about `[-1, 1]`.
    """
    x = latents = keras.Input((None, None, config.latent_channels), name="latents")
    x = PaddedConv2D(config.latent_channels, 1)(x)
    x = PaddedConv2D(config.widths[-1], 3, padding=1)(x)
    x = ResnetBlock(config.widths[-1], config.groups)(x)
    x = AttentionBlock(config.widths[-1], config.groups)(x)
    x = ResnetBlock(config.widths[-1], config.groups)(x)
    previous = config.widths[-1]
    for index, width in enumerate(reversed(config.widths)):
        if index > 0:
            x = keras.layers.UpSampling2D(2)(x)
            x = PaddedConv2D(previous, 3, padding=1)(x)
        for _ in range(config.decoder_blocks):
            x = ResnetBlock(width, config.groups)(x)
        previous = width
    x = GroupNormalization(config.groups, epsilon=1e-6)(x)
    x = keras.layers.Activation("swish")(x)
    x = PaddedConv2D(3, 3, padding=1)(x)
    return keras.Model(latents, x, name=name)
