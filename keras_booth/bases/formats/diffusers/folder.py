"""Folders in diffusers' format -> base, and back.

The configs are read, not assumed, and what the base cannot do is refused by the name of the field.
"""

import dataclasses

from keras_booth.bases.base import BaseConfig
from keras_booth.bases.formats.diffusers.config_fields import check_fixed, have, need, read
from keras_booth.bases.formats.diffusers.scheduler import parse_schedule, write_schedule
from keras_booth.bases.formats.diffusers.tokenizer import read_tokenizer, write_tokenizer
from keras_booth.bases.formats.names import DIFFUSERS, component_tensors
from keras_booth.bases.formats.room import require_room, require_vocabulary
from keras_booth.bases.formats.tensors import (
    Checkpoint,
    check,
    find_weights,
    load,
    read_json,
    write_json,
    write_tensors,
)
from keras_booth.bases.networks.autoencoder import AutoencoderConfig
from keras_booth.bases.networks.text_encoder import ACTIVATIONS, TextEncoderConfig
from keras_booth.bases.networks.unet import UNetConfig
from keras_booth.tools.errors import CheckpointError, InputError
from keras_booth.tools.wording import shown

PIPELINES = ("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline", "LatentConsistencyModelPipeline")
FOLDERS = {
    "unet": ("unet", "diffusion_pytorch_model"),
    "vae": ("vae", "diffusion_pytorch_model"),
    "text_encoder": ("text_encoder", "model"),
}
# Fields with the only values that the base can do, which are also what a config means that lacks them.
UNET_FIXED = {
    "act_fn": "silu",
    "addition_embed_type": None,
    "center_input_sample": False,
    "class_embed_type": None,
    "conv_in_kernel": 3,
    "conv_out_kernel": 3,
    "cross_attention_norm": None,
    "downsample_padding": 1,
    "dual_cross_attention": False,
    "encoder_hid_dim": None,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "mid_block_type": "UNetMidBlock2DCrossAttn",
    "norm_eps": 1e-5,
    "num_class_embeds": None,
    "only_cross_attention": False,
    "resnet_time_scale_shift": "default",
    "time_cond_proj_dim": None,
    "time_embedding_dim": None,
    "time_embedding_type": "positional",
    "transformer_layers_per_block": 1,
}
AUTOENCODER_FIXED = {
    "act_fn": "silu",
    "in_channels": 3,
    "latents_mean": None,
    "mid_block_add_attention": True,
    "out_channels": 3,
    "shift_factor": None,
    "use_post_quant_conv": True,
    "use_quant_conv": True,
}
TEXT_ENCODER_FIXED = {"layer_norm_eps": 1e-5}
Numbers, Texts = tuple[int, ...], tuple[str, ...]  # types of fields
LATENT_SCALE = 0.18215  # where a config does not say it
IGNORED = (r".*\.position_ids$",)
MODEL_INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
# What older versions of diffusers called the parts of the autoencoder's attention.
OLD_ATTENTION = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def read_folder(folder, prediction_type=None, autoencoder=None):
    """Describe the checkpoint of a diffusers folder, without reading its weights.

    Args:
        folder: `Path` of a folder with `unet/`, `vae/`, `text_encoder/`, `tokenizer/` and `scheduler/`.
        prediction_type: str, instead of what the scheduler's config says; or `None`.
        autoencoder: `AutoencoderConfig` of another autoencoder, in place of `vae/`, which need not be there; or `None`.

    Returns:
        `(config, tokenizer, checkpoints)`: `BaseConfig`, `Tokenizer`, and a dict of `Checkpoint` by component, without
        `"vae"` where there is another autoencoder.

    Raises:
        CheckpointError: naming the file and the field that is missing, damaged or not supported.
    """
    index = folder / "model_index.json"
    if index.is_file():
        pipeline = read_json(index).get("_class_name")
        if pipeline not in PIPELINES:
            raise CheckpointError(
                f"Only text-to-image checkpoints of Stable Diffusion 1.x and 2.x are supported. "
                f"Received: _class_name={shown(pipeline)} in {index}"
            )
    unet, size = read(folder / "unet" / "config.json", parse_unet)
    parts, own, latent_scale = dict(FOLDERS), folder / "vae" / "config.json", LATENT_SCALE
    if autoencoder is not None:
        del parts["vae"]
    if autoencoder is None or own.is_file():
        found, latent_scale = read(own, parse_autoencoder)
        autoencoder = autoencoder or found
    text_encoder = read(folder / "text_encoder" / "config.json", parse_text_encoder)
    tokenizer = read_tokenizer(folder / "tokenizer", text_encoder.max_length)
    text_encoder = with_tokens_of(tokenizer, text_encoder, folder)
    if "vae" in parts and unet.latent_channels != autoencoder.latent_channels:
        raise CheckpointError(
            f"in_channels of the UNet must be the {autoencoder.latent_channels} latent channels of the autoencoder: "
            f"inpainting and depth checkpoints are not supported. "
            f"Received: in_channels={unet.latent_channels} in {folder / 'unet' / 'config.json'}"
        )
    schedule = read(folder / "scheduler" / "scheduler_config.json", parse_schedule, prediction_type)
    try:
        config = BaseConfig(
            name=folder.name,
            image_size=[side * autoencoder.factor for side in (size if isinstance(size, list) else (size, size))],
            text_encoder=text_encoder,
            unet=unet,
            autoencoder=autoencoder,
            schedule=schedule,
            latent_scale=latent_scale,
        )
    except InputError as error:
        raise CheckpointError(f"{error} in the configs of {folder}") from error
    require_vocabulary(config, tokenizer, folder / "tokenizer")
    files = {name: find_weights(folder / part, stem) for name, (part, stem) in parts.items()}
    checkpoints = {name: Checkpoint(paths) for name, paths in files.items()}
    if "vae" in parts:
        require_room(config, [path for paths in files.values() for path in paths])
    return config, tokenizer, checkpoints


def parse_unet(config):
    """`(UNetConfig, size)` of a `UNet2DConditionModel`; the size is that of the latents."""
    check_fixed(config, UNET_FIXED)
    widths = need(config, "block_out_channels", Numbers)
    down, up = (need(config, field, Texts) for field in ("down_block_types", "up_block_types"))
    attends = [{"CrossAttnDownBlock2D": True, "DownBlock2D": False}.get(kind) for kind in down]
    mirrored = ["CrossAttnUpBlock2D" if level else "UpBlock2D" for level in reversed(attends)]
    if None in attends or up != mirrored:
        raise CheckpointError(
            "Blocks must be CrossAttnDownBlock2D or DownBlock2D, and the same on the way up. Received: "
            f"down_block_types={shown(down)}, up_block_types={shown(up)}"
        )
    # For Stable Diffusion 1.x diffusers' `attention_head_dim` means the number of heads.
    field = "num_attention_heads" if config.get("num_attention_heads") else "attention_head_dim"
    heads = need(config, field, int | Numbers)
    heads = [heads] * len(widths) if isinstance(heads, int) else heads
    if not len(widths) == len(heads) == len(attends):
        raise CheckpointError(
            f"block_out_channels, down_block_types and {field} must have one item a level. "
            f"Received: {len(widths)}, {len(attends)} and {len(heads)} of them"
        )
    if need(config, "out_channels", int) != config.get("in_channels"):
        raise CheckpointError(
            f"in_channels must equal out_channels: inpainting and depth checkpoints are not supported. Received: "
            f"in_channels={shown(config.get('in_channels'))}, out_channels={config['out_channels']}"
        )
    unet = UNetConfig(
        latent_channels=config["in_channels"],
        widths=widths,
        heads=[count if attending else 0 for count, attending in zip(heads, attends, strict=True)],
        middle_heads=heads[-1] if heads else None,
        context_width=need(config, "cross_attention_dim", int),
        blocks_per_level=need(config, "layers_per_block", int),
        groups=have(config, "norm_num_groups", int, 32),
        time_features=widths[0] if widths else 2,
        linear_projection=bool(have(config, "use_linear_projection", bool | None, False)),
    )
    return unet, need(config, "sample_size", int | tuple[int, int])


def write_unet(base):
    """The inverse of `parse_unet`, as a dict."""
    config = base.config.unet
    down = ["CrossAttnDownBlock2D" if heads else "DownBlock2D" for heads in config.heads]
    up = ["CrossAttnUpBlock2D" if heads else "UpBlock2D" for heads in reversed(config.heads)]
    heads = [heads or config.middle_heads for heads in config.heads]
    if base.config.image_size[0] != base.config.image_size[1]:
        size = list(base.config.latent_size)
    else:
        size = base.config.latent_size[0]
    return UNET_FIXED | {
        "_class_name": "UNet2DConditionModel",
        "attention_head_dim": heads[0] if len(set(heads)) == 1 else heads,
        "block_out_channels": list(config.widths),
        "cross_attention_dim": config.context_width,
        "down_block_types": down,
        "in_channels": config.latent_channels,
        "layers_per_block": config.blocks_per_level,
        "norm_num_groups": config.groups,
        "out_channels": config.latent_channels,
        "sample_size": size,
        "up_block_types": up,
        "use_linear_projection": config.linear_projection,
    }


def parse_autoencoder(config):
    """`(AutoencoderConfig, latent scale)` of an `AutoencoderKL`."""
    check_fixed(config, AUTOENCODER_FIXED | {"_class_name": "AutoencoderKL"})
    blocks = need(config, "layers_per_block", int)
    autoencoder = AutoencoderConfig(
        latent_channels=need(config, "latent_channels", int),
        widths=need(config, "block_out_channels", Numbers),
        encoder_blocks=blocks,
        decoder_blocks=blocks + 1,
        groups=have(config, "norm_num_groups", int, 32),
    )
    return autoencoder, have(config, "scaling_factor", float, LATENT_SCALE)


def write_autoencoder(base):
    """The inverse of `parse_autoencoder`, as a dict."""
    config = base.config.autoencoder
    levels = len(config.widths)
    return AUTOENCODER_FIXED | {
        "_class_name": "AutoencoderKL",
        "block_out_channels": list(config.widths),
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "latent_channels": config.latent_channels,
        "layers_per_block": config.encoder_blocks,
        "norm_num_groups": config.groups,
        "sample_size": max(base.config.image_size),
        "scaling_factor": base.config.latent_scale,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
    }


def with_tokens_of(tokenizer, text_encoder, folder):
    """A `TextEncoderConfig` that says which tokens its tokenizer has; refused where they have no embeddings."""
    largest = max(tokenizer.added, key=lambda token: token.id)
    if largest.id >= text_encoder.vocabulary_size:
        raise CheckpointError(
            f"vocab_size is {text_encoder.vocabulary_size}, so that an added token has no embedding: make room for it "
            f"with transformers' `resize_token_embeddings`, or take it out of the tokenizer. "
            f"Received: {largest.content!r} with the id {largest.id} in {folder / 'tokenizer'}"
        )
    added = tuple(map(tuple, tokenizer.added))
    return dataclasses.replace(text_encoder, padding=tokenizer.padding, added_tokens=added)


def parse_text_encoder(config):
    """`TextEncoderConfig` of transformers' `CLIPTextModel`, which does not say what its tokenizer does."""
    check_fixed(config, TEXT_ENCODER_FIXED)
    width = need(config, "hidden_size", int)
    if config.get("intermediate_size", 4 * width) != 4 * width:
        raise CheckpointError(
            f"intermediate_size must be 4 * hidden_size. "
            f"Received: intermediate_size={shown(config['intermediate_size'])}, hidden_size={width}"
        )
    activation = have(config, "hidden_act", str, "quick_gelu")
    if activation not in ACTIVATIONS:
        raise CheckpointError(
            f"hidden_act must be one of {tuple(ACTIVATIONS)}. Received: hidden_act={shown(activation)}"
        )
    return TextEncoderConfig(
        vocabulary_size=have(config, "vocab_size", int, 49408),
        max_length=have(config, "max_position_embeddings", int, 77),
        width=width,
        layers=need(config, "num_hidden_layers", int),
        heads=need(config, "num_attention_heads", int),
        activation=activation,
    )


def write_text_encoder(base):
    """The inverse of `parse_text_encoder`, as a dict."""
    config = base.config.text_encoder
    tokenizer = base.tokenizer
    return TEXT_ENCODER_FIXED | {
        "architectures": ["CLIPTextModel"],
        "bos_token_id": tokenizer.start,
        # Without these, transformers 5 computes in the precision of the file, while diffusers computes in float32.
        "dtype": "float32",
        "torch_dtype": "float32",
        "eos_token_id": tokenizer.end,
        "hidden_act": config.activation,
        "hidden_size": config.width,
        "intermediate_size": 4 * config.width,
        "max_position_embeddings": config.max_length,
        "model_type": "clip_text_model",
        "num_attention_heads": config.heads,
        "num_hidden_layers": config.layers,
        "pad_token_id": tokenizer.pad,
        "vocab_size": config.vocabulary_size,
    }


def renaming(component, checkpoint):
    """How a checkpoint's names differ from today's diffusers', as a callable: our name -> the file's."""
    if component == "vae":
        return vae_renaming(checkpoint)
    # transformers 5 leaves the prefix out.
    if component == "text_encoder" and not any(name.startswith("text_model.") for name in checkpoint.shapes):
        return lambda name: name.removeprefix("text_model.")
    return lambda name: name


def vae_renaming(checkpoint):
    """`renaming` of an autoencoder."""
    old = any(".mid_block.attentions.0.query." in name for name in checkpoint.shapes)
    return old_attention_name if old else lambda name: name


def old_attention_name(name):
    """Name of a weight of the autoencoder's attention before diffusers 0.15."""
    for new, old in OLD_ATTENTION.items():
        name = name.replace(f".attentions.0.{new}.", f".attentions.0.{old}.")
    return name


def load_folder(base, checkpoints):
    """Load what `read_folder` described: everything is checked before anything is loaded.

    Args:
        base: `StableDiffusionBase` of the config that `read_folder` gave.
        checkpoints: dict of `Checkpoint` by component.
    """
    tensors = component_tensors(base, DIFFUSERS)
    for component, checkpoint in checkpoints.items():
        check(checkpoint, tensors[component], IGNORED, renaming(component, checkpoint))
    for component, checkpoint in checkpoints.items():
        load(checkpoint, tensors[component], renaming(component, checkpoint))


def write_folder(base, folder, dtype="float32", added=None):
    """Write a folder that diffusers' `StableDiffusionPipeline.from_pretrained` opens without further arguments.

    Args:
        base: `StableDiffusionBase`.
        folder: `Path` of an empty folder.
        dtype: `"float32"` or `"float16"`, in which the weights are stored.
        added: see `keras_booth.bases.export_base`.
    """
    parts = {"unet": write_unet, "vae": write_autoencoder, "text_encoder": write_text_encoder}
    tensors = component_tensors(base, DIFFUSERS)
    for component, describe in parts.items():
        part, stem = FOLDERS[component]
        (folder / part).mkdir(parents=True)
        write_json(folder / part / "config.json", describe(base))
        write_tensors(tensors[component], folder / part / f"{stem}.safetensors", dtype, added=added)
    (folder / "scheduler").mkdir()
    write_json(folder / "scheduler" / "scheduler_config.json", write_schedule(base))
    write_tokenizer(base.tokenizer, folder / "tokenizer")
    write_json(folder / "model_index.json", MODEL_INDEX)
