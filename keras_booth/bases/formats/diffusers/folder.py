"""Folders in diffusers' format -> base, and back."""

import dataclasses
import functools

from keras_booth.bases.base import BaseConfig
from keras_booth.bases.formats.diffusers.components import (
    parse_autoencoder,
    parse_projection,
    parse_text_encoder,
    parse_unet,
    write_autoencoder,
    write_text_encoder,
    write_unet,
)
from keras_booth.bases.formats.diffusers.config_fields import read
from keras_booth.bases.formats.diffusers.pipeline_index import index_of, read_index
from keras_booth.bases.formats.diffusers.scheduler import parse_schedule, write_schedule
from keras_booth.bases.formats.diffusers.tokenizer import read_tokenizer, write_tokenizer
from keras_booth.bases.formats.names import DIFFUSERS, component_tensors
from keras_booth.bases.formats.original.modelspec import LATENT_SCALE, XL_SIZES
from keras_booth.bases.formats.room import require_room, require_vocabulary
from keras_booth.bases.formats.tensors import Checkpoint, check, find_weights, load, write_json, write_tensors
from keras_booth.tools.errors import CheckpointError, InputError

# The last one is of a checkpoint with two text encoders.
FOLDERS = {
    "unet": ("unet", "diffusion_pytorch_model"),
    "vae": ("vae", "diffusion_pytorch_model"),
    "text_encoder": ("text_encoder", "model"),
    "text_encoder_2": ("text_encoder_2", "model"),
}
IGNORED = (r".*\.position_ids$",)
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
