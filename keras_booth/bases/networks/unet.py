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

# What a picture's sizes are: (height, width) of the photograph, (top, left) of what was cut out of it once it was
# resized, (height, width) of that.
SIZE_NUMBERS = 6
ADDED = "added_embedding"  # how the names of its layers begin, which come in no order among the others


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
        depths: tuple of int, transformer blocks of an attention on each level; the last one's counts in the middle,
            too. Empty for one everywhere.
        pooled_width: int. Width of the pooled text embedding that is added to the timestep's together with the sizes of
            the pictures (SDXL, arXiv:2307.01952, section 2.2); 0 for neither.
        size_features: int, even. Number of sinusoidal features of each of the `SIZE_NUMBERS` numbers.
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
    depths: tuple[int, ...] = ()
    pooled_width: int = 0
    size_features: int = 256

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
        self._check_additions()

    def _check_additions(self):
        """Refuse what only some Stable Diffusions have, where it is out of its range."""
        if len(self.depths) not in (0, len(self.widths)):
            raise InputError(
                f"depths must have a number for each of the {len(self.widths)} widths, or none. "
                f"Received: depths={list(self.depths[:16])}"
            )
        for depth in self.depths:
            check_count("depths", "transformer_layers_per_block", depth, MOST_BLOCKS)
        # One description of what is the same.
        object.__setattr__(self, "depths", () if set(self.depths) <= {1} else tuple(self.depths))
        if self.pooled_width < 0:
            raise InputError(f"pooled_width must be >= 0. Received: pooled_width={self.pooled_width}")
        if self.size_features < 2 or self.size_features % 2:
            raise InputError(f"size_features must be even and >= 2. Received: size_features={self.size_features}")

    def depth(self, level: int) -> int:
        """Number of transformer blocks of an attention on a level; -1 is the middle's."""
        return self.depths[level] if self.depths else 1

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


class SizeFeatures(TimestepFeatures):
    """The same of several numbers, one after the other: float32 `(batch, numbers)` -> float
    `(batch, numbers * features)`."""

    def __init__(self, features, numbers, **kwargs):
        super().__init__(features, **kwargs)
        self.numbers = numbers

    def call(self, sizes):
        features = super().call(ops.reshape(sizes, (-1,)))
        return ops.reshape(features, (-1, self.numbers * features.shape[-1]))


def embed(features, config, name=None):
    """Features `(batch, …)` -> `(batch, 4 * width)`, through the two layers of an embedding."""
    width = config.widths[0] * 4
    first, second = (keras.layers.Dense(width, name=name and f"{name}_{number}") for number in (1, 2))
    return second(keras.layers.Activation("swish")(first(features)))


def build_unet(config: UNetConfig, latent_size: tuple[int, int], max_length: int, name: str = "unet") -> keras.Model:
    """Build the denoiser.

    Weights come in the order of KerasCV's `DiffusionModel`, for whose sizes `UNetConfig()` stands.

    Args:
        config: `UNetConfig`.
        latent_size: (height, width) of the latents.
        max_length: int. Number of tokens of a prompt.

    Returns:
        `keras.Model` from `[latents (batch, h, w, c), timesteps (batch,), context (batch, length, width)]` to a
        prediction of the shape of the latents. Timesteps may lie between whole ones. With a `pooled_width` the list
        goes on with `pooled (batch, pooled_width), sizes (batch, SIZE_NUMBERS)`.
    """
    # === Layers ===
    latents = keras.Input((*latent_size, config.latent_channels), name="latents")
    timesteps = keras.Input((), dtype="float32", name="timesteps")
    context = keras.Input((max_length, config.context_width), name="context")
    inputs = [latents, timesteps, context]

    def block(x, level):
        x = ResBlock(config.widths[level], config.groups)([x, embedding])
        return attend(x, config.heads[level], config.depth(level)) if config.heads[level] else x

    def attend(x, heads, depth):
        size = x.shape[-1] // heads
        return SpatialTransformer(heads, size, config.linear_projection, config.groups, depth)([x, context])

    # === Functional Model ===
    embedding = embed(TimestepFeatures(config.time_features)(timesteps), config)
    if config.pooled_width:
        pooled = keras.Input((config.pooled_width,), name="pooled")
        sizes = keras.Input((SIZE_NUMBERS,), dtype="float32", name="sizes")
        inputs += [pooled, sizes]
        added = keras.layers.Concatenate()([pooled, SizeFeatures(config.size_features, SIZE_NUMBERS)(sizes)])
        embedding = keras.layers.Add()([embedding, embed(added, config, ADDED)])
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
    x = attend(x, config.middle_heads, config.depth(-1))
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
    unet = keras.Model(inputs, x, name=name)
    # The layers cast what they get; the model would cast the timesteps, too.
    unet.autocast = False
    return unet
