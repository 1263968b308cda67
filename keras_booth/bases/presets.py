"""All ways to make a base: by name, from a folder, a file, or the hub."""

import contextlib
import dataclasses
import functools
import pathlib
from typing import Any

from keras_booth.bases.base import BaseConfig, StableDiffusionBase
from keras_booth.bases.formats import hub
from keras_booth.bases.formats.archive import describe_archive
from keras_booth.bases.formats.diffusers.folder import load_folder, read_folder
from keras_booth.bases.formats.external_vae import read_vae
from keras_booth.bases.formats.kerascv import WEIGHTS_1_4, WEIGHTS_2_1, clip_vocabulary, load_kerascv_weights
from keras_booth.bases.formats.original import single_file
from keras_booth.bases.formats.original.modelspec import SIZES, XL_SIZES
from keras_booth.bases.formats.own_weights import load_weights
from keras_booth.bases.formats.room import require_vocabulary
from keras_booth.bases.formats.tensors import refuse_pickle
from keras_booth.bases.networks.low_rank import loaded_later
from keras_booth.bases.request import BaseRequest
from keras_booth.bases.tiny_world import VOCABULARY, WEIGHTS, tiny_world_config
from keras_booth.bases.tokenizer import LONGEST_VOCABULARY, Tokenizer, check_merges
from keras_booth.tools.annotations import FilePath
from keras_booth.tools.errors import InputError
from keras_booth.tools.files.plain_files import read_bytes
from keras_booth.tools.preset_names import LICENCES
from keras_booth.tools.seeds import seeded_weights


def _tiny_world(vocabulary):
    tokenizer = Tokenizer(vocabulary or VOCABULARY.read_bytes(), max_length=32)
    return tiny_world_config(tokenizer.vocabulary_size), tokenizer


def _stable_diffusion_1_4(vocabulary):
    return BaseConfig(name="stable_diffusion_1.4", image_size=512), Tokenizer(vocabulary or clip_vocabulary())


def _stable_diffusion_2_1(vocabulary):
    unet, text_encoder = SIZES[2]
    text_encoder = dataclasses.replace(text_encoder, padding="!")
    # KerasCV publishes 2.1-base, which predicts the noise at 512 pixels.
    config = BaseConfig(name="stable_diffusion_2.1", image_size=512, text_encoder=text_encoder, unet=unet)
    return config, Tokenizer(vocabulary or clip_vocabulary(), padding="!")


def _stable_diffusion_xl(vocabulary):
    config = BaseConfig(name="stable_diffusion_xl", image_size=1024, **XL_SIZES)
    return config, Tokenizer(vocabulary or clip_vocabulary())


# name -> (description, weight loader; `None` for what is in `ON_THE_HUB`)
PRESETS = {
    "tiny_world": (_tiny_world, lambda base: load_weights(base.components, WEIGHTS)),
    "stable_diffusion_1.4": (_stable_diffusion_1_4, functools.partial(load_kerascv_weights, weights=WEIGHTS_1_4)),
    "stable_diffusion_2.1": (_stable_diffusion_2_1, functools.partial(load_kerascv_weights, weights=WEIGHTS_2_1)),
    "stable_diffusion_xl": (_stable_diffusion_xl, None),
}


# What is published in diffusers' format alone.
ON_THE_HUB = {name: f"hf://{LICENCES[name][1]}" for name in ("stable_diffusion_xl",)}


def load_base(preset: FilePath | BaseRequest, **options: Any) -> StableDiffusionBase:
    """Make a base.

    Args:
        preset: str or `Path`; or a `BaseRequest`, which says the options too.
        **options: the other fields of `BaseRequest`.

    Returns:
        `StableDiffusionBase`.

    Raises:
        InputError: for an unknown name, a size the base cannot do, or weights that cannot be had.

    Example:

    ```python
    base = keras_booth.bases.load_base("tiny_world")
    base = keras_booth.bases.load_base("checkpoints/my-finetune", dtype="mixed_bfloat16")
    base = keras_booth.bases.load_base("model.safetensors", vae="vae-ft-mse-840000-ema-pruned.safetensors")
    ```
    """
    request = requested(preset, options)
    vae = None if request.vae is None else read_vae(request.vae)
    config, tokenizer, load = describe(request, vae)
    later = contextlib.nullcontext() if request.weights is None else loaded_later()
    with seeded_weights(request.seed), later:
        base = StableDiffusionBase(config, tokenizer, request.dtype)
    if request.weights is not None:
        load(base)
        base.source = request.preset
        base.fine_tuned = is_archive(request.preset)
    if vae is not None:
        vae.load(base)
    base.merge_tokens(request.merge_tokens)
    return base


def describe_base(preset: FilePath | BaseRequest, **options: Any) -> tuple[BaseConfig, Tokenizer]:
    """What `load_base` would make, without its weights: `(BaseConfig, Tokenizer)`."""
    request = requested(preset, options)
    return describe(request, None if request.vae is None else read_vae(request.vae))[:2]


def config_at_hand(preset: FilePath | BaseRequest, **options: Any) -> BaseConfig | None:
    """The sizes of what `load_base` would make; `None` where that would have to be downloaded first.

    Args:
        preset: as `load_base` takes it.
        **options: likewise.

    Raises:
        InputError: as `describe_base`.
    """
    request = requested(preset, options)
    if str(request.preset).startswith(hub.PREFIX):
        return None
    # The sizes do not depend on the vocabulary, which a file may lack; an archive has its own.
    vocabulary = None if is_archive(request.preset) else VOCABULARY
    config, _, _ = describe_preset(dataclasses.replace(request, vae=None, weights=None, vocabulary=vocabulary), None)
    return config if request.image_size is None else config.with_image_size(request.image_size)


def requested(preset: FilePath | BaseRequest, options: dict[str, Any]) -> BaseRequest:
    """The `BaseRequest` that a call means."""
    return preset if isinstance(preset, BaseRequest) else BaseRequest(preset=preset, **options)


def describe(request, vae):
    """`(BaseConfig, Tokenizer, loader of weights)` of what is requested.

    Args:
        request: `BaseRequest`.
        vae: `ExternalVAE`, or `None`.
    """
    config, tokenizer, load = describe_preset(request, vae)
    require_vocabulary(config, tokenizer, request.vocabulary or request.preset)
    changes = {"prediction_type": request.prediction_type} if request.prediction_type else {}
    if request.zero_terminal_snr:
        # Only trailing timesteps begin where there is noise alone.
        changes |= {"zero_terminal_snr": True, "timestep_spacing": "trailing"}
    config = dataclasses.replace(config, schedule=dataclasses.replace(config.schedule, **changes))
    if vae is not None:
        config = vae.put_into(config)
    if request.image_size is not None:
        config = config.with_image_size(request.image_size)
    return config, tokenizer, load


def describe_preset(request, vae):
    """`describe` of whatever a user may name, before options change it."""
    preset, vocabulary = request.preset, _read(request.vocabulary)
    place = ON_THE_HUB.get(preset, preset) if request.weights else preset
    if place in PRESETS:
        make, load = PRESETS[place]
        return with_room_for(vae, preset, *make(vocabulary), load)
    path = hub.fetch(place) if place.startswith(hub.PREFIX) else pathlib.Path(place)
    if is_archive(path) and path.is_file():
        return with_room_for(vae, preset, *describe_archive(path, vocabulary))
    refuse_pickle(path)
    autoencoder = None if vae is None else vae.config
    if path.is_dir():
        config, tokenizer, checkpoints = read_folder(path, request.prediction_type, autoencoder)
        load = functools.partial(load_folder, checkpoints=checkpoints)
    elif path.is_file():
        config, checkpoint = single_file.read_single_file(path, request.prediction_type, autoencoder)
        text = config.text_encoder
        tokenizer = Tokenizer(vocabulary or clip_vocabulary(), text.max_length, text.padding, text.added_tokens)
        without = vae is not None
        load = functools.partial(single_file.load_single_file, checkpoint=checkpoint, without_autoencoder=without)
    else:
        raise InputError(f"{what_presets_are(preset)} Received: preset={preset!r}")
    return (config.named(preset) if place.startswith(hub.PREFIX) else config), tokenizer, load


def is_archive(preset):
    """Whether a preset is a model that was saved by training, and so fine-tuned already."""
    return pathlib.PurePath(preset).suffix == ".keras"


def with_room_for(vae, preset, config, tokenizer, load):
    """A description whose loader loads an autoencoder in any case; refused if another one would be of another size."""
    if vae is not None and vae.config != config.autoencoder:
        raise InputError(
            f"The autoencoder must have the sizes of the one in preset={preset!r}, {config.autoencoder}. "
            f"Received: {vae.config} in vae={vae.path}"
        )
    return config, tokenizer, load


def what_presets_are(preset):
    """A sentence for a preset that is nothing."""
    if hub.looks_like_a_repository(preset):
        return f"There is no such file or folder; for the checkpoint of that name on the hub write hf://{preset}."
    return (
        f"`preset` must be one of {tuple(PRESETS)}, a folder in diffusers' format, a `.safetensors` file, a `.keras` "
        "file, or 'hf://owner/name'."
    )


def _read(path):
    if path is None:
        return None
    content = read_bytes(path, LONGEST_VOCABULARY, "The vocabulary", field="vocabulary")
    try:
        check_merges(content)
    except InputError as error:
        raise InputError(f"{error} in vocabulary={path}") from error
    return content
