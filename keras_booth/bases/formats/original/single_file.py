"""One `.safetensors` file in the original layout -> base, and back.

The layout in which Stable Diffusion 1.x, 2.x and XL were published, and which ComfyUI and AUTOMATIC1111 read. It needs
no config: sizes are read off the shapes, and what shapes do not say is as in Stable Diffusion.
"""

import dataclasses
import functools
import json
import re

from keras_booth.bases.base import BaseConfig
from keras_booth.bases.formats.names import (
    CLIP_PREFIX,
    FIRST_PREFIX,
    OPEN_CLIP_PREFIX,
    ORIGINAL,
    SECOND_PREFIX,
    component_tensors,
)
from keras_booth.bases.formats.original.modelspec import XL_SIZES, model_spec
from keras_booth.bases.formats.original.prediction import find_schedule, log_once
from keras_booth.bases.formats.original.shapes import (
    AUTOENCODER,
    UNET,
    has,
    original_name,
    refuse_other_models,
    refuse_parts,
)
from keras_booth.bases.formats.room import require_room
from keras_booth.bases.formats.tensors import Checkpoint, check, load, write_tensors
from keras_booth.bases.networks.autoencoder import AutoencoderConfig
from keras_booth.bases.networks.checks import MOST_LAYERS
from keras_booth.bases.networks.text_encoder import TextEncoderConfig
from keras_booth.bases.networks.unet import SIZE_NUMBERS, UNetConfig
from keras_booth.tools.errors import CheckpointError, InputError
from keras_booth.tools.files.json_files import parse_json
from keras_booth.tools.wording import shown

OWN = "keras_booth.base"  # a field of the metadata: sizes that shapes do not say
HEADS, HEAD_WIDTH = 8, 64  # of Stable Diffusion 1.x, and of 2.x
DENSE, CONVOLUTION = (2,), (4,)  # numbers of axes
CLIP = {"activation": "quick_gelu", "padding": "<|endoftext|>"}
OPEN_CLIP = {"activation": "gelu", "padding": "!"}
XL_SIZE = 1024  # side of its pictures in pixels
XL_DEFAULTS = {name: XL_SIZES[name] for name in ("latent_scale", "guidance_scale", "zeros_for_empty")}
UNUSED_LAYER = 23  # the last of OpenCLIP ViT-H in Stable Diffusion 2.x
# What training leaves beside the weights.
IGNORED = (
    r"model_ema\.",
    r"first_stage_model\.(loss|model_ema)\.",
    r"(?!model\.|first_stage_model\.|cond_stage_model\.|conditioner\.)[\w.]+$",
    r".*\.position_ids$",
)


def read_single_file(path, prediction_type=None, autoencoder=None):
    """Describe a checkpoint in the original layout, without loading its weights.

    Args:
        path: `Path` of the file.
        prediction_type: `"epsilon"` or `"v_prediction"`; `None` for what the file says, see `find_schedule`.
        autoencoder: `AutoencoderConfig` of another autoencoder, which then need not be in the file; or `None`.

    Returns:
        `(config, checkpoint)`: `BaseConfig` and `Checkpoint`.

    Raises:
        CheckpointError: naming the file and the tensor that is missing, or the architecture that is not supported.
    """
    checkpoint = Checkpoint([path], original_name)
    refuse_other_models(checkpoint.shapes, path)
    refuse_parts(checkpoint.shapes, path, autoencoder is not None)
    try:
        config = describe(checkpoint, path, prediction_type, autoencoder)
    except CheckpointError:
        raise
    except InputError as error:
        raise CheckpointError(f"{error}, as the tensors in {path} have it") from error
    if autoencoder is None:
        require_room(config, [path])
    return config, checkpoint


def describe(checkpoint, path, prediction_type, autoencoder):
    """`BaseConfig` of `read_single_file`."""
    shapes = checkpoint.shapes
    if OWN in checkpoint.metadata:
        return read_own(checkpoint.metadata[OWN], path)
    unet = read_unet(shapes, path)
    latents = find(shapes, f"{UNET}out.2.weight", path, CONVOLUTION)[0]
    if autoencoder is None:
        autoencoder = read_autoencoder(shapes, path)
        latents = autoencoder.latent_channels
    if unet.latent_channels != latents:
        raise CheckpointError(
            f"The tensor '{UNET}input_blocks.0.0.weight' takes {unet.latent_channels} channels, not the {latents} of "
            f"the latents: inpainting and depth checkpoints are not supported. Received: {path}"
        )
    # Stable Diffusion 2.x is what projects by dense layers and has one text encoder.
    second = unet.linear_projection and not unet.pooled_width
    schedule, sign = find_schedule(checkpoint, second, prediction_type)
    size = re.fullmatch(r"(\d{1,6})x(\d{1,6})", checkpoint.metadata.get("modelspec.resolution", ""))
    default = 768 if second and schedule.prediction_type == "v_prediction" else 512
    if unet.pooled_width:
        default, parts = XL_SIZE, read_both(shapes, path) | XL_DEFAULTS
    elif second:
        # It reads OpenCLIP's embeddings before the last layer.
        parts = {"text_encoder": read_text_encoder(shapes, path, OPEN_CLIP, most_layers=UNUSED_LAYER)}
    else:
        parts = {"text_encoder": read_text_encoder(shapes, path, CLIP)}
    config = BaseConfig(
        name=path.stem,
        image_size=(int(size[2]), int(size[1])) if size else default,
        **parts,
        unet=unet,
        autoencoder=autoencoder,
        schedule=schedule,
    )
    if sign:
        height, width = config.image_size
        log_once(
            f"{path.name} is read as a base that predicts {schedule.prediction_type}, at {width}x{height} pixels: "
            f"{sign}. If that is wrong, set base.prediction_type and base.image_size."
        )
    return config


def read_own(text, path):
    """`BaseConfig` that `write_single_file` left in a file."""
    fields = parse_json(text, f"The metadata field {OWN!r}", path, CheckpointError)
    try:
        return BaseConfig.from_dict(fields)
    except InputError as error:
        raise CheckpointError(f"The metadata field {OWN!r} is damaged: {error} in {path}") from error


def find(shapes, name, path, axes=None):
    """Shape of a tensor that must be there, with so many axes; `None` for any number."""
    if name not in shapes:
        raise CheckpointError(
            f"The tensor {name!r} is missing: this is no whole Stable Diffusion 1.x, 2.x or XL checkpoint. "
            f"Received: {path}"
        )
    shape = shapes[name]
    if axes is not None and len(shape) not in axes:
        raise CheckpointError(f"The tensor {name!r} has the shape {shown(shape)}, of other axes. Received: {path}")
    return shape


def count(shapes, pattern, path):
    """One more than the largest number that a pattern's group matches in the names; 0 if none does.

    Raises:
        CheckpointError: for a number that not all tensors of the file together could count up to.
    """
    found = 0
    for name in shapes:
        match = re.match(pattern, name)
        if match and (len(match[1]) > 9 or int(match[1]) >= len(shapes)):
            raise CheckpointError(
                f"The tensor {shown(name)} has a number beyond all that the file holds. Received: {path}"
            )
        found = max(found, int(match[1]) + 1) if match else found
    return found


def read_unet(shapes, path):
    """`UNetConfig` from the shapes of the tensors."""
    widths, attends, blocks, depths = [], [], [], []
    current = 0
    for number in range(1, count(shapes, re.escape(UNET) + r"input_blocks\.(\d+)\.", path)):
        stem = f"{UNET}input_blocks.{number}"
        if f"{stem}.0.op.weight" in shapes:
            blocks.append(current)
            current = 0
            continue
        if current == 0:
            widths.append(find(shapes, f"{stem}.0.out_layers.3.weight", path, CONVOLUTION)[0])
            attends.append(f"{stem}.1.norm.weight" in shapes)
            depths.append(max(count(shapes, re.escape(f"{stem}.1.transformer_blocks.") + r"(\d+)\.", path), 1))
        current += 1
    blocks.append(current)
    latents = find(shapes, f"{UNET}input_blocks.0.0.weight", path, CONVOLUTION)
    context = find(shapes, f"{UNET}middle_block.1.transformer_blocks.0.attn2.to_k.weight", path, DENSE)[1]
    linear = len(find(shapes, f"{UNET}middle_block.1.proj_in.weight", path, DENSE + CONVOLUTION)) == 2
    if not widths:
        raise CheckpointError(f"The UNet has no blocks: no tensor '{UNET}input_blocks.1…' is there. Received: {path}")
    heads = [width // HEAD_WIDTH if linear else HEADS for width in widths]
    added = f"{UNET}label_emb.0.0.weight"
    pooled = find(shapes, added, path, DENSE)[1] - SIZE_NUMBERS * UNetConfig.size_features if added in shapes else 0
    return UNetConfig(
        latent_channels=latents[1],
        widths=widths,
        heads=[number if attending else 0 for number, attending in zip(heads, attends, strict=True)],
        middle_heads=heads[-1],
        context_width=context,
        blocks_per_level=blocks[0],
        time_features=find(shapes, f"{UNET}time_embed.0.weight", path, DENSE)[1],
        linear_projection=linear,
        depths=depths,
        pooled_width=pooled,
    )


def read_autoencoder(shapes, path, layout=ORIGINAL, prefix=AUTOENCODER):
    """`AutoencoderConfig` from the shapes of the tensors.

    Args:
        shapes: dict of shapes by name.
        path: `Path` of the file, for a message.
        layout: `ORIGINAL` or `DIFFUSERS`, whose names the tensors have.
        prefix: str, what they begin with.
    """
    place, block = ("down.{}", "block.{}") if layout == ORIGINAL else ("down_blocks.{}", "resnets.{}")
    stem, number = f"{prefix}encoder.{place}.", r"(\d+)"
    levels = count(shapes, stem.format(number), path)
    blocks = count(shapes, f"{stem}{block}.".format(0, number), path)
    names = [f"{stem}{block}.conv1.weight".format(level, 0) for level in range(max(levels, 1))]
    return AutoencoderConfig(
        latent_channels=find(shapes, f"{prefix}post_quant_conv.weight", path, DENSE + CONVOLUTION)[0],
        widths=[find(shapes, name, path, CONVOLUTION)[0] for name in names],
        encoder_blocks=blocks,
        decoder_blocks=blocks + 1,
    )


def read_text_encoder(shapes, path, kind, prefix=None, most_layers=MOST_LAYERS):
    """`TextEncoderConfig` from the shapes of the tensors, in CLIP's or OpenCLIP's names.

    Args:
        shapes: dict of shapes by name.
        path: `Path` of the file, for a message.
        kind: dict, what shapes do not say: `CLIP`, or `OPEN_CLIP` of Stable Diffusion 2.x.
        prefix: str, what OpenCLIP's names begin with; `None` for that of a single text encoder, where there are any,
            and else for CLIP's names.
        most_layers: int. Those behind are left out.
    """
    if prefix or has(shapes, OPEN_CLIP_PREFIX):
        prefix, positions = prefix or OPEN_CLIP_PREFIX, "positional_embedding"
        layers, tokens = r"transformer\.resblocks\.(\d+)\.", "token_embedding.weight"
    else:
        prefix, positions = f"{CLIP_PREFIX}text_model.", "embeddings.position_embedding.weight"
        layers, tokens = r"encoder\.layers\.(\d+)\.", "embeddings.token_embedding.weight"
    length, width = find(shapes, prefix + positions, path, DENSE)
    found = count(shapes, re.escape(prefix) + layers, path)
    return TextEncoderConfig(
        vocabulary_size=find(shapes, prefix + tokens, path, DENSE)[0],
        max_length=length,
        width=width,
        layers=min(found, most_layers),
        heads=max(width // HEAD_WIDTH, 1),
        **kind,
    )


def read_both(shapes, path):
    """Both `TextEncoderConfig`s of Stable Diffusion XL by component, as `read_text_encoder` reads one."""
    first = read_text_encoder(shapes, path, CLIP)
    second = read_text_encoder(shapes, path, OPEN_CLIP, SECOND_PREFIX)
    pooled = find(shapes, f"{SECOND_PREFIX}text_projection", path, DENSE)[1]
    return {
        "text_encoder": dataclasses.replace(first, penultimate=True),
        "text_encoder_2": dataclasses.replace(second, penultimate=True, pooled_width=pooled),
    }


def load_single_file(base, checkpoint, without_autoencoder=False):
    """Load what `read_single_file` described: everything is checked before anything is loaded.

    Args:
        base: `StableDiffusionBase`.
        checkpoint: `Checkpoint`.
        without_autoencoder: bool. Whether to leave out the autoencoder, because another one is given.
    """
    components = component_tensors(base, ORIGINAL, has(checkpoint.shapes, OPEN_CLIP_PREFIX))
    if without_autoencoder:
        del components["vae"]
    tensors = [tensor for component in components.values() for tensor in component]
    last = base.config.text_encoder.layers
    unused = rf"cond_stage_model\.(model\.transformer\.resblocks|transformer\.text_model\.encoder\.layers)\.{last}\."
    ignored = (*IGNORED, unused, *([r"first_stage_model\."] if without_autoencoder else []))
    # Of two text encoders the first has the place of a single one in the names that were read.
    rename = functools.partial(re.sub, rf"^{re.escape(FIRST_PREFIX)}", CLIP_PREFIX)
    check(checkpoint, tensors, ignored, rename)
    load(checkpoint, tensors, rename)


def write_single_file(base, path, dtype="float32", added=None, subjects=()):
    """Write one file that ComfyUI and AUTOMATIC1111 read.

    Args:
        base: `StableDiffusionBase`.
        path: `Path` of the file.
        dtype: `"float32"` or `"float16"`, in which the weights are stored.
        added, subjects: see `keras_booth.bases.export_base`.
    """
    metadata = model_spec(base.config, subjects) | {OWN: json.dumps(base.config.to_dict())}
    tensors = [tensor for component in component_tensors(base, ORIGINAL).values() for tensor in component]
    write_tensors(tensors, path, dtype, metadata, added)
