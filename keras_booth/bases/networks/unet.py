"""One UNet of KerasCV's blocks for every size, described by a config."""

import dataclasses
import math

import keras
import numpy as np
from keras import ops

from keras_booth.bases.networks.checks import MOST_BLOCKS, check_count, check_groups, check_heads, check_widths
from keras_booth.bases.networks.corrections import (
    GroupNormalization,
    PaddedConv2D,
    ResBlock,
    SpatialTransformer,
    Upsample,
)
from keras_booth.tools.errors import InputError
from keras_booth.tools.files.typed_fields import check_types


@dataclasses.dataclass(frozen=True)
class UNetConfig:
    """Sizes of a Stable Diffusion UNet; the defaults are Stable Diffusion 1.x.

    Args:
        latent_channels: int. Channels of the latents, in and out.
        widths: tuple of int, one a resolution level; multiples of 32.
        heads: tuple of int, attention heads of each level; 0 for a level without attention.
        context_width: int. Width of the text embeddings.
        blocks_per_level: int. Residual blocks of a level on the way down; one more on the way up.
        time_features: int, even. Number of sinusoidal features of the timestep.
        linear_projection: bool. Dense instead of 1x1 convolutions around the attention (Stable Diffusion 2.x).
        middle_heads: int. Attention heads of the block in the middle; `None` for those of the lowest level with any.
        groups: int. Groups of the group norms; divides the widths (see `AutoencoderConfig`).
    """

    latent_channels: int = 4
    widths: tuple[int, ...] = (320, 640, 1280, 1280)
    heads: tuple[int, ...] = (8, 8, 8, 0)
    context_width: int = 768
    blocks_per_level: int = 2
    time_features: int = 320
    linear_projection: bool = False
    middle_heads: int | None = None
    groups: int = 32

    def __post_init__(self):
        check_types(self)
        check_widths(self.widths)
        check_count("latent_channels", "in_channels", self.latent_channels)
        check_count("context_width", "cross_attention_dim", self.context_width)
        check_count("blocks_per_level", "layers_per_block", self.blocks_per_level, MOST_BLOCKS)
        check_groups(self.groups, self.widths)
        if self.time_features < 2 or self.time_features % 2:
            raise InputError(f"time_features must be even and >= 2. Received: time_features={self.time_features}")
        # Lists arrive from JSON.
        object.__setattr__(self, "widths", tuple(self.widths))
        object.__setattr__(self, "heads", tuple(self.heads))
        if len(self.heads) != len(self.widths):
            raise InputError(
                f"heads must have a number for each of the {len(self.widths)} widths. "
                f"Received: heads={list(self.heads[:16])}"
            )
        if self.middle_heads is None:
            found = next((heads for heads in reversed(self.heads) if heads), None)
            if found is None:
                raise InputError(
                    f"heads must have a level with attention, or middle_heads be given. "
                    f"Received: heads={list(self.heads)}"
                )
            object.__setattr__(self, "middle_heads", found)
        check_count("middle_heads", "attention_head_dim", self.middle_heads)
        for width, heads in zip(self.widths + self.widths[-1:], (*self.heads, self.middle_heads), strict=True):
            check_heads(heads or 1, width)

    @property
    def latent_multiple(self):
        """Latent height and width must be multiples of this."""
        return 2 ** (len(self.widths) - 1)


class TimestepFeatures(keras.layers.Layer):
    """Sinusoidal features of timesteps, cosines first, as Stable Diffusion orders them.

    float32 `(batch,)` -> float `(batch, features)`.
    """

    def __init__(self, features, **kwargs):
        # In float32 whatever the policy: bfloat16 cannot tell timestep 997 from 999.
        super().__init__(autocast=False, **kwargs)
        half = features // 2
        self.frequencies = np.exp(-math.log(10000) * np.arange(half) / half).astype("float32")

    def call(self, timesteps):
        angles = ops.cast(timesteps, "float32")[:, None] * self.frequencies[None]
        return ops.cast(ops.concatenate([ops.cos(angles), ops.sin(angles)], axis=-1), self.compute_dtype)


def embed_timesteps(timesteps, config):
    """Timesteps `(batch,)` -> `(batch, 4 * width)`, what every residual block is told of them."""
    width = config.widths[0] * 4
    embedding = TimestepFeatures(config.time_features)(timesteps)
    embedding = keras.layers.Dense(width)(embedding)
    embedding = keras.layers.Activation("swish")(embedding)
    return keras.layers.Dense(width)(embedding)


def build_unet(config: UNetConfig, latent_size: tuple[int, int], max_length: int, name: str = "unet") -> keras.Model:
    """Build the denoiser.

    Weights come in the order of KerasCV's `DiffusionModel`, for whose sizes `UNetConfig()` stands.

    Args:
        config: `UNetConfig`.
        latent_size: (height, width) of the latents.
        max_length: int. Number of tokens of a prompt.

    Returns:
        `keras.Model` from `[latents (batch, h, w, c), timesteps (batch,), context (batch, length, width)]` to a
        prediction of the shape of the latents. Timesteps may lie between whole ones.
    """
    # === Layers ===
    latents = keras.Input((*latent_size, config.latent_channels), name="latents")
    timesteps = keras.Input((), dtype="float32", name="timesteps")
    context = keras.Input((max_length, config.context_width), name="context")

    def block(x, level):
        x = ResBlock(config.widths[level], config.groups)([x, embedding])
        return attend(x, config.heads[level]) if config.heads[level] else x

    def attend(x, heads):
        size = x.shape[-1] // heads
        return SpatialTransformer(heads, size, config.linear_projection, config.groups)([x, context])

    # === Functional Model ===
    embedding = embed_timesteps(timesteps, config)
    last = len(config.widths) - 1
    x = PaddedConv2D(config.widths[0], 3, padding=1)(latents)
    skips = [x]
    for level, width in enumerate(config.widths):
        for _ in range(config.blocks_per_level):
            x = block(x, level)
            skips.append(x)
        if level < last:
            x = PaddedConv2D(width, 3, strides=2, padding=1)(x)
            skips.append(x)

    x = ResBlock(config.widths[last], config.groups)([x, embedding])
    x = attend(x, config.middle_heads)
    x = ResBlock(config.widths[last], config.groups)([x, embedding])

    for level in range(last, -1, -1):
        for _ in range(config.blocks_per_level + 1):
            x = keras.layers.Concatenate()([x, skips.pop()])
            x = block(x, level)
        if level > 0:
            x = Upsample(config.widths[level])(x)

    x = GroupNormalization(config.groups, epsilon=1e-5)(x)
    x = keras.layers.Activation("swish")(x)
    x = PaddedConv2D(config.latent_channels, 3, padding=1)(x)
    unet = keras.Model([latents, timesteps, context], x, name=name)
    # The layers cast what they get; the model would cast the timesteps, too.
    unet.autocast = False
    return unet
