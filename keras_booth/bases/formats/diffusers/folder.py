"""Folders in diffusers' format -> base, and back.

The configs are read, not assumed, and what the base cannot do is refused by the name of the field.
"""

import dataclasses
import functools

from keras_booth.bases.base import BaseConfig
from keras_booth.bases.formats.diffusers.config_fields import check_fixed, have, need, read
from keras_booth.bases.formats.diffusers.scheduler import parse_schedule, write_schedule
from keras_booth.bases.formats.diffusers.tokenizer import read_tokenizer, write_tokenizer
from keras_booth.bases.formats.names import DIFFUSERS, component_tensors
from keras_booth.bases.formats.original.modelspec import XL_SIZES
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
from keras_booth.bases.networks.unet import SIZE_NUMBERS, UNetConfig
from keras_booth.tools.errors import CheckpointError, InputError
from keras_booth.tools.wording import shown

PIPELINES = (
    *("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline", "LatentConsistencyModelPipeline"),
    *("StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline"),
)
# The last two are of a checkpoint with two text encoders.
FOLDERS = {
    "unet": ("unet", "diffusion_pytorch_model"),
    "vae": ("vae", "diffusion_pytorch_model"),
    "text_encoder": ("text_encoder", "model"),
    "text_encoder_2": ("text_encoder_2", "model"),
}
# Fields with the only values that the base can do, which are also what a config means that lacks them.
UNET_FIXED = {
    "act_fn": "silu",
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
    "reverse_transformer_layers_per_block": None,
    "time_cond_proj_dim": None,
    "time_embedding_dim": None,
    "time_embedding_type": "positional",
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
        folder: `Path` of a folder with `unet/`, `vae/`, `text_encoder/`, `tokenizer/` and `scheduler/`; and with
            `text_encoder_2/` and `tokenizer_2/` where its UNet takes a pooled embedding.
        prediction_type: str, instead of what the scheduler's config says; or `None`.
        autoencoder: `AutoencoderConfig` of another autoencoder, in place of `vae/`, which need not be there; or `None`.

    Returns:
        `(config, tokenizer, checkpoints)`: `BaseConfig`, `Tokenizer`, and a dict of `Checkpoint` by component, without
        `"vae"` where there is another autoencoder.

    Raises:
        CheckpointError: naming the file and the field that is missing, damaged or not supported.
    """
    index = read_index(folder)
    unet, size = read(folder / "unet" / "config.json", parse_unet)
    parts, own = dict(FOLDERS), folder / "vae" / "config.json"
    latent_scale = XL_SIZES["latent_scale"] if unet.pooled_width else LATENT_SCALE
    if autoencoder is not None:
        del parts["vae"]
    if not unet.pooled_width:
        del parts["text_encoder_2"]
    if autoencoder is None or own.is_file():
        found, latent_scale = read(own, parse_autoencoder)
        autoencoder = autoencoder or found
    text_encoders, tokenizer = read_text_encoders(folder, [part for part in parts if part.startswith("text_encoder")])
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
            **text_encoders,
            unet=unet,
            autoencoder=autoencoder,
            schedule=schedule,
            latent_scale=latent_scale,
            # What diffusers' pipeline means where the index does not say it.
            zeros_for_empty=bool(unet.pooled_width) and index.get("force_zeros_for_empty_prompt", True) is not False,
            guidance_scale=XL_SIZES["guidance_scale"] if unet.pooled_width else BaseConfig.guidance_scale,
        )
    except InputError as error:
        raise CheckpointError(f"{error} in the configs of {folder}") from error
    require_vocabulary(config, tokenizer, folder / "tokenizer")
    files = {name: find_weights(folder / part, stem) for name, (part, stem) in parts.items()}
    checkpoints = {name: Checkpoint(paths) for name, paths in files.items()}
    if "vae" in parts:
        require_room(config, [path for paths in files.values() for path in paths])
    return config, tokenizer, checkpoints


def read_index(folder):
    """What `model_index.json` says, as a dict; refused for a pipeline of another kind of model."""
    index = folder / "model_index.json"
    if not index.is_file():
        return {}
    found = read_json(index)
    pipeline = found.get("_class_name")
    if pipeline not in PIPELINES:
        raise CheckpointError(
            f"This is {kind_of_pipeline(pipeline)}; only text-to-image checkpoints of Stable Diffusion 1.x, 2.x and XL "
            f"are supported. Received: _class_name={shown(pipeline)} in {index}"
        )
    if "text_encoder_2" in found and found.get("text_encoder") == [None, None]:
        raise CheckpointError(
            f"This is the refiner of Stable Diffusion XL, which has one text encoder and cannot draw by itself: take "
            f"the base, stable-diffusion-xl-base-1.0. Received: text_encoder=[null, null] in {index}"
        )
    return found


def kind_of_pipeline(name):
    """What a diffusers pipeline draws with, as far as its name says it."""
    kinds = {
        "Inpaint": "an inpainting checkpoint",
        "Depth": "a depth-to-image checkpoint",
        "StableDiffusion3": "Stable Diffusion 3",
        "Flux": "Flux",
        "PixArt": "PixArt",
        "Kolors": "Kolors",
        "Cascade": "Stable Cascade",
    }
    return next((kind for part, kind in kinds.items() if part in str(name)), "a checkpoint of another kind")


def read_text_encoders(folder, names):
    """The text encoders of a folder, and what makes their tokens.

    Args:
        folder: `Path`.
        names: list of the components' names, one or two.

    Returns:
        `(configs, tokenizer)`: dict of `TextEncoderConfig` by component, and the first one's `Tokenizer`.
    """
    several, configs, tokenizers = len(names) > 1, {}, []
    for name in names:
        config = read(folder / name / "config.json", parse_text_encoder)
        if several:
            width = read(folder / name / "config.json", parse_projection) if name == names[-1] else 0
            config = dataclasses.replace(config, penultimate=True, pooled_width=width)
        place = folder / name.replace("text_encoder", "tokenizer")
        tokenizers.append(read_tokenizer(place, config.max_length))
        configs[name] = with_tokens_of(tokenizers[-1], config, place)
    if tokenizers[0].vocabulary != tokenizers[-1].vocabulary:
        raise CheckpointError(
            f"Both tokenizers must have the same vocabulary; they may differ in added tokens and in what fills short "
            f"prompts. Received: tokenizer and tokenizer_2 in {folder}"
        )
    return configs, tokenizers[0]


def parse_projection(config):
    """Width of the pooled embedding of transformers' `CLIPTextModelWithProjection`."""
    return need(config, "projection_dim", int)


def parse_unet(config):
    """`(UNetConfig, size)` of a `UNet2DConditionModel`; the size is that of the latents."""
    check_fixed(config, UNET_FIXED)
    pooled, features = parse_addition(config)
    depth = have(config, "transformer_layers_per_block", int | Numbers, 1)
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
        depths=[depth] * len(widths) if isinstance(depth, int) else depth,
        pooled_width=pooled,
        size_features=features,
    )
    return unet, need(config, "sample_size", int | tuple[int, int])


def parse_addition(config):
    """`(pooled_width, size_features)` of a UNet: what is added to the embedding of its timesteps."""
    kind = config.get("addition_embed_type")
    if kind is None:
        return 0, UNetConfig.size_features
    if kind != "text_time":
        raise CheckpointError(
            f"addition_embed_type must be 'text_time' or null. Received: addition_embed_type={shown(kind)}"
        )
    features = need(config, "addition_time_embed_dim", int)
    width = need(config, "projection_class_embeddings_input_dim", int)
    pooled = width - SIZE_NUMBERS * features
    if pooled < 1:
        raise CheckpointError(
            f"projection_class_embeddings_input_dim must be more than the {SIZE_NUMBERS} * {features} of the sizes. "
            f"Received: projection_class_embeddings_input_dim={width}"
        )
    return pooled, features


def write_addition(config):
    """The inverse of `parse_addition`, as a dict."""
    if not config.pooled_width:
        return {"addition_embed_type": None}
    return {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": config.size_features,
        "projection_class_embeddings_input_dim": config.pooled_width + SIZE_NUMBERS * config.size_features,
    }


def write_unet(base):
    """The inverse of `parse_unet`, as a dict."""
    config = base.config.unet
    down = ["CrossAttnDownBlock2D" if heads else "DownBlock2D" for heads in config.heads]
    up = ["CrossAttnUpBlock2D" if heads else "UpBlock2D" for heads in reversed(config.heads)]
    # Of a level without attention as if its heads were as wide as the middle's.
    wide = config.widths[-1] // config.middle_heads
    heads = [
        heads or (width // wide if width % wide == 0 else config.middle_heads)
        for heads, width in zip(config.heads, config.widths, strict=True)
    ]
    if base.config.image_size[0] != base.config.image_size[1]:
        size = list(base.config.latent_size)
    else:
        size = base.config.latent_size[0]
    return (
        UNET_FIXED
        | write_addition(config)
        | {
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
            "transformer_layers_per_block": list(config.depths) or 1,
            "up_block_types": up,
            "use_linear_projection": config.linear_projection,
        }
    )


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


def with_tokens_of(tokenizer, text_encoder, place):
    """A `TextEncoderConfig` that says which tokens its tokenizer has, from the `Path` of a folder; refused where they
    have no embeddings."""
    largest = max(tokenizer.added, key=lambda token: token.id)
    if largest.id >= text_encoder.vocabulary_size:
        raise CheckpointError(
            f"vocab_size is {text_encoder.vocabulary_size}, so that an added token has no embedding: make room for it "
            f"with transformers' `resize_token_embeddings`, or take it out of the tokenizer. "
            f"Received: {largest.content!r} with the id {largest.id} in {place}"
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


def write_text_encoder(base, name="text_encoder"):
    """The inverse of `parse_text_encoder`, as a dict."""
    config, tokenizer = base.config.text_encoders[name], base.tokenizers[name]
    projected = {"projection_dim": config.pooled_width} if config.pooled_width else {}
    return (
        TEXT_ENCODER_FIXED
        | projected
        | {
            "architectures": ["CLIPTextModelWithProjection" if projected else "CLIPTextModel"],
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
    )


def renaming(component, checkpoint):
    """How a checkpoint's names differ from today's diffusers', as a callable: our name -> the file's."""
    if component == "vae":
        return vae_renaming(checkpoint)
    # transformers 5 leaves the prefix out.
    if component.startswith("text_encoder") and not any(name.startswith("text_model.") for name in checkpoint.shapes):
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
    parts = {"unet": write_unet, "vae": write_autoencoder}
    parts |= {name: functools.partial(write_text_encoder, name=name) for name in base.config.text_encoders}
    tensors = component_tensors(base, DIFFUSERS)
    for component, describe in parts.items():
        part, stem = FOLDERS[component]
        (folder / part).mkdir(parents=True)
        write_json(folder / part / "config.json", describe(base))
        write_tensors(tensors[component], folder / part / f"{stem}.safetensors", dtype, added=added)
    (folder / "scheduler").mkdir()
    write_json(folder / "scheduler" / "scheduler_config.json", write_schedule(base))
    for name, tokenizer in base.tokenizers.items():
        write_tokenizer(tokenizer, folder / name.replace("text_encoder", "tokenizer"))
    write_json(folder / "model_index.json", index_of(base.config))


def index_of(config):
    """What `model_index.json` says of a base, as a dict."""
    if config.text_encoder_2 is None:
        return MODEL_INDEX
    kept = {name: value for name, value in MODEL_INDEX.items() if "safety_checker" not in name}
    return kept | {
        "_class_name": "StableDiffusionXLPipeline",
        "force_zeros_for_empty_prompt": config.zeros_for_empty,
        "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
        "tokenizer_2": ["transformers", "CLIPTokenizer"],
    }
