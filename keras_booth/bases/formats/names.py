"""One table of names: each weight of ours beside its name in diffusers' layout and in the original one.

The original layout is CompVis's, in which Stable Diffusion 1.x and 2.x were published as one file, and Stability's, in
which XL was; ComfyUI and AUTOMATIC1111 read both. Its text encoder is CLIP's in 1.x and OpenCLIP's in 2.x, XL has both.
One table serves reading and writing.
"""

import dataclasses
import itertools
import re
import typing
from collections.abc import Callable

import keras
import numpy as np

from keras_booth.bases.base import StableDiffusionBase
from keras_booth.bases.networks.corrections import (
    AttentionBlock,
    CLIPEmbedding,
    CLIPEncoderLayer,
    GroupNormalization,
    PaddedConv2D,
    ResBlock,
    ResnetBlock,
    SpatialTransformer,
    Upsample,
)
from keras_booth.bases.networks.low_rank import Dense
from keras_booth.bases.networks.unet import ADDED

DIFFUSERS, ORIGINAL = "diffusers", "original"
CLIP_PREFIX = "cond_stage_model.transformer."
OPEN_CLIP_PREFIX = "cond_stage_model.model."
# Of a base with two text encoders.
FIRST_PREFIX, SECOND_PREFIX = "conditioner.embedders.0.transformer.", "conditioner.embedders.1.model."

# === Blocks: our sublayer, its name in diffusers, and its original name where that differs ===

RES_BLOCK = (
    ("entry_flow.0", "norm1", "in_layers.0"),
    ("entry_flow.1", "conv1", "in_layers.2"),
    ("embedding_flow.1", "time_emb_proj", "emb_layers.1"),
    ("exit_flow.0", "norm2", "out_layers.0"),
    ("exit_flow.1", "conv2", "out_layers.3"),
    ("residual_projection", "conv_shortcut", "skip_connection"),
)
TRANSFORMER_BLOCK = (
    ("norm1", "norm1"),
    ("attn1.to_q", "attn1.to_q"),
    ("attn1.to_k", "attn1.to_k"),
    ("attn1.to_v", "attn1.to_v"),
    ("attn1.out_proj", "attn1.to_out.0"),
    ("norm2", "norm2"),
    ("attn2.to_q", "attn2.to_q"),
    ("attn2.to_k", "attn2.to_k"),
    ("attn2.to_v", "attn2.to_v"),
    ("attn2.out_proj", "attn2.to_out.0"),
    ("norm3", "norm3"),
    ("geglu.dense", "ff.net.0.proj"),
    ("dense", "ff.net.2"),
)


def spatial_transformer(layer):
    """The table of a `SpatialTransformer`, which has one transformer block or more."""
    blocks = [
        (f"blocks.{index}.{path}", f"transformer_blocks.{index}.{name}")
        for index in range(len(layer.blocks))
        for path, name in TRANSFORMER_BLOCK
    ]
    return (("norm", "norm"), ("proj1", "proj_in"), *blocks, ("proj2", "proj_out"))


UPSAMPLE = (("conv", "conv"),)
RESNET_BLOCK = (
    ("norm1", "norm1"),
    ("conv1", "conv1"),
    ("norm2", "norm2"),
    ("conv2", "conv2"),
    ("residual_projection", "conv_shortcut", "nin_shortcut"),
)
ATTENTION_BLOCK = (
    ("norm", "group_norm", "norm"),
    ("q", "to_q", "q"),
    ("k", "to_k", "k"),
    ("v", "to_v", "v"),
    ("proj_out", "to_out.0", "proj_out"),
)
CLIP_EMBEDDING = (("token_embedding", "token_embedding"), ("position_embedding", "position_embedding"))
CLIP_LAYER = (
    ("layer_norm1", "layer_norm1"),
    ("clip_attn.q_proj", "self_attn.q_proj"),
    ("clip_attn.k_proj", "self_attn.k_proj"),
    ("clip_attn.v_proj", "self_attn.v_proj"),
    ("clip_attn.out_proj", "self_attn.out_proj"),
    ("layer_norm2", "layer_norm2"),
    ("fc1", "mlp.fc1"),
    ("fc2", "mlp.fc2"),
)
# "!" marks a tensor without the ending ".weight", "[0]" the first third of one, "^" one whose axes are in our order.
OPEN_CLIP_EMBEDDING = (
    ("token_embedding", "token_embedding"),
    ("position_embedding", "position_embedding", "positional_embedding!"),
)
OPEN_CLIP_LAYER = (
    ("layer_norm1", "layer_norm1", "ln_1"),
    ("clip_attn.q_proj", "self_attn.q_proj", "attn.in_proj_[0]"),
    ("clip_attn.k_proj", "self_attn.k_proj", "attn.in_proj_[1]"),
    ("clip_attn.v_proj", "self_attn.v_proj", "attn.in_proj_[2]"),
    ("clip_attn.out_proj", "self_attn.out_proj", "attn.out_proj"),
    ("layer_norm2", "layer_norm2", "ln_2"),
    ("fc1", "mlp.fc1", "mlp.c_fc"),
    ("fc2", "mlp.fc2", "mlp.c_proj"),
)
TABLES = {
    ResBlock: RES_BLOCK,
    SpatialTransformer: spatial_transformer,
    Upsample: UPSAMPLE,
    ResnetBlock: RESNET_BLOCK,
    AttentionBlock: ATTENTION_BLOCK,
    CLIPEmbedding: CLIP_EMBEDDING,
    CLIPEncoderLayer: CLIP_LAYER,
}
OPEN_CLIP_TABLES = TABLES | {CLIPEmbedding: OPEN_CLIP_EMBEDDING, CLIPEncoderLayer: OPEN_CLIP_LAYER}

# === Kinds of tensor: ours -> theirs, theirs -> ours ===


class Kind(typing.NamedTuple):
    """How one kind of tensor is laid out: `export` turns our array into theirs, `read` theirs into ours."""

    export: Callable[[np.ndarray], np.ndarray]
    read: Callable[[np.ndarray], np.ndarray]


VECTOR = Kind(lambda ours: ours, lambda theirs: theirs)
LINEAR = Kind(lambda ours: ours.T, lambda theirs: theirs.T)  # (in, out) <-> (out, in)
# (height, width, in, out) <-> (out, in, height, width)
CONV = Kind(lambda ours: ours.transpose(3, 2, 0, 1), lambda theirs: theirs.transpose(2, 3, 1, 0))
POINTWISE = Kind(lambda ours: ours[0, 0].T, lambda theirs: theirs.T[None, None])  # (1, 1, in, out) <-> (out, in)


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One weight of ours and its place in a file.

    Args:
        variable: `keras.Variable`.
        kind: `Kind`.
        name: str. The tensor's name in the file.
        third: int, or `None`. OpenCLIP keeps query, key and value in one tensor: which third of its rows this is.
    """

    variable: keras.Variable
    kind: Kind
    name: str
    third: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole tensor in the file."""
        shape = self.kind.export(np.broadcast_to(np.float32(0), self.variable.shape)).shape
        return shape if self.third is None else (3 * shape[0], *shape[1:])

    def export(self, added: Callable[[keras.Variable], np.ndarray] | None = None) -> np.ndarray:
        """The weight as the file has it, with what a function from the variable adds."""
        array = np.asarray(self.variable)
        if added is not None:
            array = array.astype("float32") + added(self.variable)
        return self.kind.export(array)

    def assign(self, theirs: np.ndarray) -> None:
        """Take the weight from the file's array."""
        theirs = theirs.reshape(self.shape)
        if self.third is not None:
            rows = len(theirs) // 3
            theirs = theirs[self.third * rows : (self.third + 1) * rows]
        self.variable.assign(self.kind.read(theirs))


def weights_of(layer):
    """The weights of a plain layer as `(variable, suffix of the name, kind)`."""
    if isinstance(layer, PaddedConv2D):
        layer = layer.conv2d
    if isinstance(layer, keras.layers.Embedding):
        return [(layer.embeddings, "weight", VECTOR)]
    if isinstance(layer, keras.layers.Conv2D):
        return [(layer.kernel, "weight", CONV), (layer.bias, "bias", VECTOR)]
    if isinstance(layer, keras.layers.Dense):
        return [(layer.kernel, "weight", LINEAR)] + ([(layer.bias, "bias", VECTOR)] if layer.use_bias else [])
    return [(layer.gamma, "weight", VECTOR), (layer.beta, "bias", VECTOR)]


def sublayers(layer, diffusers, original, tables):
    """The sublayers with weights of a block, or a plain layer itself, as `(layer, diffusers, original)`."""
    table = tables.get(type(layer), [("", "")])
    for path, name, *differing in table(layer) if callable(table) else table:
        sublayer = layer
        for step in filter(None, path.split(".")):
            sublayer = sublayer[int(step)] if step.isdigit() else getattr(sublayer, step)
        # Where the widths agree, KerasCV's residual projection is a function.
        if isinstance(sublayer, keras.layers.Layer):
            yield sublayer, join(diffusers, name), join(original, *(differing or [name]))


def join(*names):
    """Names with dots between, leaving out empty ones."""
    return ".".join(name for name in names if name)


def file_name(name, suffix):
    """`(name of the tensor, third)` of a weight of a layer; see the marks at `OPEN_CLIP_EMBEDDING`."""
    if name.endswith("!"):
        return name[:-1], None
    third = re.fullmatch(r"(.*)\[(\d)\]", name)
    return (third[1] + suffix, int(third[2])) if third else (f"{name}.{suffix}", None)


def tensors_of(layers, layout, tables=TABLES):
    """Place the weights of layers in a file.

    Args:
        layers: iterable of `(layer, diffusers, original)`.
        layout: `DIFFUSERS` or `ORIGINAL`.
        tables: dict of the tables of block types.

    Returns:
        list of `Tensor`.
    """
    found = []
    for block in layers:
        for layer, *names in sublayers(*block, tables):
            name = names[(DIFFUSERS, ORIGINAL).index(layout)]
            for variable, suffix, kind in weights_of(layer):
                # diffusers has dense layers where the autoencoder's attention has convolutions of one pixel.
                if layout == DIFFUSERS and kind is CONV and ".to_" in name:
                    kind = POINTWISE
                if "^" in name:
                    kind = VECTOR
                found.append(Tensor(variable, kind, *file_name(name.replace("^", ""), suffix)))
    return found


# === Where the blocks stand ===


def of_type(model, kind):
    """Iterator over the layers of a type, in the order in which the model calls them."""
    return iter([layer for layer in model.layers if type(layer) is kind])


def unet_layers(unet, config):
    """The UNet's blocks as `(layer, diffusers, original)`.

    Args:
        unet: `keras.Model` of `build_unet`.
        config: `UNetConfig`.
    """
    blocks, transformers, ups = (of_type(unet, kind) for kind in (ResBlock, SpatialTransformer, Upsample))
    convolutions, dense = of_type(unet, PaddedConv2D), list(of_type(unet, keras.layers.Dense))
    added = [layer for layer in dense if layer.name.startswith(ADDED)]
    dense = iter([layer for layer in dense if layer not in added])
    levels = len(config.widths)
    yield next(dense), "time_embedding.linear_1", "time_embed.0"
    yield next(dense), "time_embedding.linear_2", "time_embed.2"
    for layer, number, place in zip(added, (1, 2), (0, 2), strict=False):
        yield layer, f"add_embedding.linear_{number}", f"label_emb.0.{place}"
    yield next(convolutions), "conv_in", "input_blocks.0.0"
    number = 1
    for level in range(levels):
        for index in range(config.blocks_per_level):
            yield next(blocks), f"down_blocks.{level}.resnets.{index}", f"input_blocks.{number}.0"
            if config.heads[level]:
                yield next(transformers), f"down_blocks.{level}.attentions.{index}", f"input_blocks.{number}.1"
            number += 1
        if level < levels - 1:
            yield next(convolutions), f"down_blocks.{level}.downsamplers.0.conv", f"input_blocks.{number}.0.op"
            number += 1
    yield next(blocks), "mid_block.resnets.0", "middle_block.0"
    yield next(transformers), "mid_block.attentions.0", "middle_block.1"
    yield next(blocks), "mid_block.resnets.1", "middle_block.2"
    number = 0
    for up, level in enumerate(reversed(range(levels))):
        for index in range(config.blocks_per_level + 1):
            yield next(blocks), f"up_blocks.{up}.resnets.{index}", f"output_blocks.{number}.0"
            if config.heads[level]:
                yield next(transformers), f"up_blocks.{up}.attentions.{index}", f"output_blocks.{number}.1"
            number += 1
        if level > 0:
            place = 2 if config.heads[level] else 1
            yield next(ups), f"up_blocks.{up}.upsamplers.0", f"output_blocks.{number - 1}.{place}"
    (norm,) = of_type(unet, GroupNormalization)
    yield norm, "conv_norm_out", "out.0"
    yield next(convolutions), "conv_out", "out.2"


def image_encoder_layers(encoder, config):
    """The image encoder's blocks as `(layer, diffusers, original)`; see `unet_layers`."""
    blocks, convolutions = of_type(encoder, ResnetBlock), of_type(encoder, PaddedConv2D)
    levels = len(config.widths)
    yield next(convolutions), "encoder.conv_in", "encoder.conv_in"
    for level in range(levels):
        for index in range(config.encoder_blocks):
            yield next(blocks), f"encoder.down_blocks.{level}.resnets.{index}", f"encoder.down.{level}.block.{index}"
        if level < levels - 1:
            name = f"encoder.down_blocks.{level}.downsamplers.0.conv"
            yield next(convolutions), name, f"encoder.down.{level}.downsample.conv"
    yield from middle(encoder, blocks, "encoder")
    yield from end(encoder, convolutions, "encoder")
    yield next(convolutions), "quant_conv", "quant_conv"


def decoder_layers(decoder, config):
    """The decoder's blocks as `(layer, diffusers, original)`; see `unet_layers`."""
    blocks, convolutions = of_type(decoder, ResnetBlock), of_type(decoder, PaddedConv2D)
    levels = len(config.widths)
    yield next(convolutions), "post_quant_conv", "post_quant_conv"
    yield next(convolutions), "decoder.conv_in", "decoder.conv_in"
    yield from middle(decoder, blocks, "decoder")
    for up in range(levels):
        # The original numbers the levels from the picture down.
        level = levels - 1 - up
        if up > 0:
            name = f"decoder.up_blocks.{up - 1}.upsamplers.0.conv"
            yield next(convolutions), name, f"decoder.up.{level + 1}.upsample.conv"
        for index in range(config.decoder_blocks):
            yield next(blocks), f"decoder.up_blocks.{up}.resnets.{index}", f"decoder.up.{level}.block.{index}"
    yield from end(decoder, convolutions, "decoder")


def middle(model, blocks, side):
    """The blocks at the lowest resolution of the encoder or the decoder."""
    (attention,) = of_type(model, AttentionBlock)
    yield next(blocks), f"{side}.mid_block.resnets.0", f"{side}.mid.block_1"
    yield attention, f"{side}.mid_block.attentions.0", f"{side}.mid.attn_1"
    yield next(blocks), f"{side}.mid_block.resnets.1", f"{side}.mid.block_2"


def end(model, convolutions, side):
    """The last layers of the encoder or the decoder."""
    (norm,) = of_type(model, GroupNormalization)
    yield norm, f"{side}.conv_norm_out", f"{side}.norm_out"
    yield next(convolutions), f"{side}.conv_out", f"{side}.conv_out"


def text_encoder_layers(text_encoder, open_clip=False):
    """A text encoder's blocks as `(layer, diffusers, original)`; see `unet_layers`."""
    inside = "text_model."
    (embedding,) = of_type(text_encoder, CLIPEmbedding)
    yield embedding, f"{inside}embeddings", "" if open_clip else f"{inside}embeddings"
    for index, layer in enumerate(of_type(text_encoder, CLIPEncoderLayer)):
        name = f"{inside}encoder.layers.{index}"
        yield layer, name, f"transformer.resblocks.{index}" if open_clip else name
    (norm,) = of_type(text_encoder, keras.layers.LayerNormalization)
    yield norm, f"{inside}final_layer_norm", "ln_final" if open_clip else f"{inside}final_layer_norm"
    for projection in of_type(text_encoder, Dense):
        yield projection, "text_projection", "text_projection^!" if open_clip else "text_projection"


def original_text_names(config, open_clip=None):
    """How the original layout calls the text encoders of a base.

    Args:
        config: `BaseConfig`.
        open_clip: bool. Whether the only text encoder has OpenCLIP's names; `None` for Stable Diffusion 2.x alone, as
            it was published.

    Returns:
        dict of `(prefix, whether the names are OpenCLIP's)` by component.
    """
    if config.text_encoder_2 is not None:
        return {"text_encoder": (FIRST_PREFIX, False), "text_encoder_2": (SECOND_PREFIX, True)}
    if open_clip is None:
        open_clip = config.text_encoder.activation == "gelu"
    return {"text_encoder": (OPEN_CLIP_PREFIX if open_clip else CLIP_PREFIX, open_clip)}


def component_tensors(base, layout, open_clip=None):
    """All weights of a base, as a file of the layout has them.

    Args:
        base: `StableDiffusionBase`.
        layout: `DIFFUSERS`, with one file for each component, or `ORIGINAL`, with one for all.
        open_clip: see `original_text_names`.

    Returns:
        dict of lists of `Tensor`, by `"unet"`, `"vae"`, `"text_encoder"` and by choice `"text_encoder_2"`.
    """
    config, original = base.config, layout == ORIGINAL
    autoencoder = itertools.chain(
        image_encoder_layers(base.image_encoder, config.autoencoder), decoder_layers(base.decoder, config.autoencoder)
    )
    parts = {
        "unet": (unet_layers(base.unet, config.unet), TABLES, "model.diffusion_model."),
        "vae": (autoencoder, TABLES, "first_stage_model."),
    }
    for name, (prefix, is_open) in original_text_names(config, open_clip).items():
        tables = OPEN_CLIP_TABLES if original and is_open else TABLES
        parts[name] = (text_encoder_layers(getattr(base, name), original and is_open), tables, prefix)
    return {
        name: [
            dataclasses.replace(tensor, name=prefix + tensor.name) if original else tensor
            for tensor in tensors_of(blocks, layout, tables)
        ]
        for name, (blocks, tables, prefix) in parts.items()
    }


def named_layers(base: StableDiffusionBase) -> dict[str, keras.layers.Layer]:
    """The dense layers and convolutions of UNet and text encoders, by diffusers' names.

    Args:
        base: `StableDiffusionBase`.

    Returns:
        dict of plain Keras layers by full name: `"unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"`.
    """
    blocks = {"unet": unet_layers(base.unet, base.config.unet)}
    blocks |= {name: text_encoder_layers(encoder) for name, encoder in base.text_encoders.items()}
    found = {}
    for prefix, places in blocks.items():
        for block in places:
            for layer, name, _ in sublayers(*block, TABLES):
                layer = getattr(layer, "conv2d", layer)
                if isinstance(layer, (keras.layers.Dense, keras.layers.Conv2D)):
                    found[f"{prefix}.{name}"] = layer
    return found
