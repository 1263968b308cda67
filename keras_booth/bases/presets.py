"""All ways to make a base: by name, from a folder, a file, or the hub."""

import dataclasses
import functools
import pathlib

import keras

from keras_booth.bases import diffusers_format, hub, single_file
from keras_booth.bases.base import BaseConfig, StableDiffusionBase
from keras_booth.bases.checkpoints import refuse_pickle
from keras_booth.bases.kerascv import WEIGHTS_1_4, WEIGHTS_2_1, clip_vocabulary, load_kerascv_weights
from keras_booth.bases.modelspec import SIZES
from keras_booth.bases.tiny_world.config import VOCABULARY, WEIGHTS, tiny_world_config
from keras_booth.bases.tokenizer import Tokenizer
from keras_booth.bases.weights import load_weights
from keras_booth.tools.errors import InputError


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


# name -> (description, weight loader)
PRESETS = {
    "tiny_world": (_tiny_world, lambda base: load_weights(base.components, WEIGHTS)),
    "stable_diffusion_1.4": (_stable_diffusion_1_4, functools.partial(load_kerascv_weights, weights=WEIGHTS_1_4)),
    "stable_diffusion_2.1": (_stable_diffusion_2_1, functools.partial(load_kerascv_weights, weights=WEIGHTS_2_1)),
}


def load_base(
    preset,
    *,
    weights="pretrained",
    image_size=None,
    dtype=None,
    vocabulary=None,
    prediction_type=None,
    zero_terminal_snr=False,
    seed=None,
):
    """Make a base.

    Args:
        preset: str. A key of `PRESETS`; or the path of a folder in diffusers' format; or of a `.safetensors` file in
            the original layout; or `"hf://owner/name"`, with `"@revision"` by choice.
        weights: `"pretrained"`, or `None` for random ones.
        image_size: int or (height, width) in pixels; `None` for the base's own.
        dtype: dtype policy of text encoder and UNet; `None` for the global one.
        vocabulary: path of a gzipped BPE merge list; `None` for the base's own.
        prediction_type: `"epsilon"` or `"v_prediction"`, where a file does not say it; `None` for the base's own.
        zero_terminal_snr: bool. Whether to rescale the noise schedule so that its last timestep is noise alone, and to
            sample from there (arXiv:2305.08891, algorithm 1); `False` for the base's own. For bases that predict v.
        seed: int. Seed of random weights; `None` leaves the global state alone.

    Returns:
        `StableDiffusionBase`.

    Raises:
        InputError: for an unknown name, a size the base cannot do, or weights that cannot be had.

    Example:

    ```python
    base = keras_booth.bases.load_base("tiny_world")
    base = keras_booth.bases.load_base("checkpoints/my-finetune", dtype="mixed_bfloat16")
    ```
    """
    if weights not in ("pretrained", None):
        raise InputError(f"`weights` must be 'pretrained' or None. Received: weights={weights!r}")
    config, tokenizer, load = _describe(preset, image_size, vocabulary, prediction_type, zero_terminal_snr)
    if seed is not None:
        keras.utils.set_random_seed(seed)
    base = StableDiffusionBase(config, tokenizer, dtype)
    if weights is not None:
        load(base)
    return base


def describe_base(preset, *, image_size=None, vocabulary=None, prediction_type=None, zero_terminal_snr=False):
    """What `load_base` would make, without its weights: `(BaseConfig, Tokenizer)`."""
    return _describe(preset, image_size, vocabulary, prediction_type, zero_terminal_snr)[:2]


def _describe(preset, image_size, vocabulary, prediction_type, zero_terminal_snr):
    config, tokenizer, load = describe(str(preset), _read(vocabulary), prediction_type)
    changes = {"prediction_type": prediction_type} if prediction_type else {}
    if zero_terminal_snr:
        # Only trailing timesteps begin where there is noise alone.
        changes |= {"zero_terminal_snr": True, "timestep_spacing": "trailing"}
    config = dataclasses.replace(config, schedule=dataclasses.replace(config.schedule, **changes))
    return (config if image_size is None else config.with_image_size(image_size)), tokenizer, load


def describe(preset, vocabulary, prediction_type):
    """`(BaseConfig, Tokenizer, loader of weights)` of whatever a user may name."""
    if preset in PRESETS:
        make, load = PRESETS[preset]
        return *make(vocabulary), load
    if preset.startswith(hub.PREFIX):
        config, tokenizer, load = describe_folder(hub.fetch(preset), prediction_type)
        return config.named(preset), tokenizer, load
    path = pathlib.Path(preset)
    if path.is_dir():
        return describe_folder(path, prediction_type)
    refuse_pickle(path)
    if path.is_file():
        config, checkpoint = single_file.read_single_file(path, prediction_type)
        tokenizer = Tokenizer(
            vocabulary or clip_vocabulary(), config.text_encoder.max_length, config.text_encoder.padding
        )
        return config, tokenizer, functools.partial(single_file.load_single_file, checkpoint=checkpoint)
    raise InputError(
        f"`preset` must be one of {tuple(PRESETS)}, a folder in diffusers' format, a `.safetensors` file, or "
        f"'hf://owner/name'. Received: preset={preset!r}"
    )


def describe_folder(folder, prediction_type):
    """`describe` for a folder in diffusers' format."""
    config, tokenizer, checkpoints = diffusers_format.read_folder(folder, prediction_type)
    return config, tokenizer, functools.partial(diffusers_format.load_folder, checkpoints=checkpoints)


def _read(path):
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise InputError(f"The vocabulary cannot be read ({error.strerror}). Received: vocabulary={path}") from error
