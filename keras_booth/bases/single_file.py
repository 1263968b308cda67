"""One `.safetensors` file in the original layout -> base, and back.

The layout in which Stable Diffusion 1.x and 2.x were published, and which ComfyUI and AUTOMATIC1111 read. It needs no
config: sizes are read off the shapes, and what shapes do not say is as in Stable Diffusion.
"""

import json
import re

from keras_booth.bases.autoencoder import AutoencoderConfig
from keras_booth.bases.base import BaseConfig
from keras_booth.bases.checkpoints import Checkpoint, check, load, write_tensors
from keras_booth.bases.layouts import CLIP_PREFIX, OPEN_CLIP_PREFIX, ORIGINAL, component_tensors
from keras_booth.bases.modelspec import model_spec
from keras_booth.bases.text_encoder import TextEncoderConfig
from keras_booth.bases.unet import UNetConfig
from keras_booth.diffusion import NoiseSchedule
from keras_booth.tools.errors import CheckpointError

UNET = "model.diffusion_model."
OWN = "keras_booth.base"  # a field of the metadata: sizes that shapes do not say
ENCODER = "first_stage_model.encoder."
HEADS, HEAD_WIDTH = 8, 64  # of Stable Diffusion 1.x, and of 2.x
UNUSED_LAYER = 23  # the last of OpenCLIP ViT-H in Stable Diffusion 2.x
# What training leaves beside the weights, and OpenCLIP's last layer, which Stable Diffusion 2.x does not use.
IGNORED = (
    r"model_ema\.",
    r"first_stage_model\.loss\.",
    r"(?!model\.|first_stage_model\.|cond_stage_model\.)[\w.]+$",
    r".*\.position_ids$",
    r"cond_stage_model\.model\.(text_projection|logit_scale)$",
    r"cond_stage_model\.(logit_scale|model\.attn_mask)$",
)

ELSEWHERE = {
    "conditioner.embedders.": "Stable Diffusion XL",
    "model.diffusion_model.joint_blocks.": "Stable Diffusion 3",
    "model.diffusion_model.double_blocks.": "Flux",
    "control_model.": "ControlNet",
    "lora_unet_": "LoRA",
}


def read_single_file(path, prediction_type=None):
    """Describe a checkpoint in the original layout, without reading its weights.

    Args:
        path: `Path` of the file.
        prediction_type: `"epsilon"` or `"v_prediction"`; `None` for what the file says, or else epsilon for 1.x and v
            for 2.x.

    Returns:
        `(config, checkpoint)`: `BaseConfig` and `Checkpoint`.

    Raises:
        CheckpointError: naming the file and the tensor that is missing, or the architecture that is not supported.
    """
    checkpoint = Checkpoint([path])
    shapes = checkpoint.shapes
    for prefix, model in ELSEWHERE.items():
        if any(name.startswith(prefix) for name in shapes):
            raise CheckpointError(
                f"This is a {model} file; only Stable Diffusion 1.x and 2.x can be a base. Received: {path}"
            )
    if OWN in checkpoint.metadata:
        return read_own(checkpoint.metadata[OWN], path), checkpoint
    open_clip = f"{OPEN_CLIP_PREFIX}ln_final.weight" in shapes
    unet, text_encoder = read_unet(shapes, path), read_text_encoder(shapes, open_clip, path)
    autoencoder = read_autoencoder(shapes, path)
    if unet.latent_channels != autoencoder.latent_channels:
        raise CheckpointError(
            f"The tensor '{UNET}input_blocks.0.0.weight' takes {unet.latent_channels} channels, not the "
            f"{autoencoder.latent_channels} of the latents: inpainting and depth checkpoints are not supported. "
            f"Received: {path}"
        )
    stated = {"v": "v_prediction", "epsilon": "epsilon"}.get(checkpoint.metadata.get("modelspec.prediction_type"))
    prediction_type = prediction_type or stated or ("v_prediction" if open_clip else "epsilon")
    size = re.fullmatch(r"(\d+)x(\d+)", checkpoint.metadata.get("modelspec.resolution", ""))
    default = 768 if open_clip and prediction_type == "v_prediction" else 512
    config = BaseConfig(
        name=path.stem,
        image_size=(int(size[2]), int(size[1])) if size else default,
        text_encoder=text_encoder,
        unet=unet,
        autoencoder=autoencoder,
        schedule=NoiseSchedule(prediction_type=prediction_type),
    )
    return config, checkpoint


def read_own(text, path):
    """`BaseConfig` that `write_single_file` left in a file."""
    try:
        return BaseConfig.from_dict(json.loads(text))
    except (TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"The metadata field {OWN!r} is damaged ({error}). Received: {path}") from error


def find(shapes, name, path):
    """Shape of a tensor that must be there."""
    if name not in shapes:
        raise CheckpointError(
            f"The tensor {name!r} is missing: this is no whole Stable Diffusion 1.x or 2.x checkpoint. Received: {path}"
        )
    return shapes[name]


def count(shapes, pattern):
    """One more than the largest number that a pattern's group matches in the names; 0 if none does."""
    found = [re.match(pattern, name) for name in shapes]
    return max((int(match[1]) + 1 for match in found if match), default=0)


def read_unet(shapes, path):
    """`UNetConfig` from the shapes of the tensors."""
    widths, attends, blocks = [], [], []
    current = 0
    for number in range(1, count(shapes, re.escape(UNET) + r"input_blocks\.(\d+)\.")):
        stem = f"{UNET}input_blocks.{number}"
        if f"{stem}.0.op.weight" in shapes:
            blocks.append(current)
            current = 0
            continue
        if current == 0:
            widths.append(find(shapes, f"{stem}.0.out_layers.3.weight", path)[0])
            attends.append(f"{stem}.1.norm.weight" in shapes)
        current += 1
    blocks.append(current)
    latents = find(shapes, f"{UNET}input_blocks.0.0.weight", path)
    context = find(shapes, f"{UNET}middle_block.1.transformer_blocks.0.attn2.to_k.weight", path)[1]
    linear = len(find(shapes, f"{UNET}middle_block.1.proj_in.weight", path)) == 2
    heads = [width // HEAD_WIDTH if linear else HEADS for width in widths]
    return UNetConfig(
        latent_channels=latents[1],
        widths=widths,
        heads=[number if attending else 0 for number, attending in zip(heads, attends, strict=True)],
        middle_heads=heads[-1],
        context_width=context,
        blocks_per_level=blocks[0],
        time_features=find(shapes, f"{UNET}time_embed.0.weight", path)[1],
        linear_projection=linear,
    )


def read_autoencoder(shapes, path):
    """`AutoencoderConfig` from the shapes of the tensors."""
    levels = count(shapes, re.escape(ENCODER) + r"down\.(\d+)\.")
    names = [f"{ENCODER}down.{level}.block.0.conv1.weight" for level in range(max(levels, 1))]
    blocks = count(shapes, re.escape(ENCODER) + r"down\.0\.block\.(\d+)\.")
    return AutoencoderConfig(
        latent_channels=find(shapes, "first_stage_model.post_quant_conv.weight", path)[0],
        widths=[find(shapes, name, path)[0] for name in names],
        encoder_blocks=blocks,
        decoder_blocks=blocks + 1,
    )


def read_text_encoder(shapes, open_clip, path):
    """`TextEncoderConfig` from the shapes of the tensors."""
    if open_clip:
        prefix, positions, layers = OPEN_CLIP_PREFIX, "positional_embedding", r"transformer\.resblocks\.(\d+)\."
    else:
        prefix, positions, layers = CLIP_PREFIX, "embeddings.position_embedding.weight", r"encoder\.layers\.(\d+)\."
    tokens = "token_embedding.weight" if open_clip else "embeddings.token_embedding.weight"
    length, width = find(shapes, prefix + positions, path)
    found = count(shapes, re.escape(prefix) + layers)
    return TextEncoderConfig(
        vocabulary_size=find(shapes, prefix + tokens, path)[0],
        max_length=length,
        width=width,
        # Stable Diffusion 2.x reads OpenCLIP's embeddings before its last layer.
        layers=min(found, UNUSED_LAYER) if open_clip else found,
        heads=max(width // HEAD_WIDTH, 1),
        activation="gelu" if open_clip else "quick_gelu",
        padding="!" if open_clip else "<|endoftext|>",
    )


def load_single_file(base, checkpoint):
    """Load what `read_single_file` described: everything is checked before anything is loaded."""
    tensors = [tensor for component in component_tensors(base, ORIGINAL).values() for tensor in component]
    unused = rf"cond_stage_model\.model\.transformer\.resblocks\.{base.config.text_encoder.layers}\."
    check(checkpoint, tensors, (*IGNORED, unused))
    load(checkpoint, tensors)


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
