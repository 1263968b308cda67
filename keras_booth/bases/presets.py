"""The bases that come by name."""

import keras

from keras_booth.bases.base import BaseConfig, StableDiffusionBase
from keras_booth.bases.kerascv import clip_vocabulary, load_kerascv_weights
from keras_booth.bases.tiny_world.config import VOCABULARY, WEIGHTS, tiny_world_config
from keras_booth.bases.tokenizer import Tokenizer
from keras_booth.bases.weights import load_weights


def _tiny_world(vocabulary):
    tokenizer = Tokenizer(_read(vocabulary) or VOCABULARY.read_bytes(), max_length=32)
    return tiny_world_config(tokenizer.vocabulary_size), tokenizer


def _stable_diffusion_1_4(vocabulary):
    return BaseConfig(name="stable_diffusion_1.4", image_size=512), Tokenizer(_read(vocabulary) or clip_vocabulary())


def _read(path):
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ValueError(f"The vocabulary cannot be read ({error.strerror}). Received: vocabulary={path}") from error


# name -> (description, weight loader)
PRESETS = {
    "tiny_world": (_tiny_world, lambda base: load_weights(base.components, WEIGHTS)),
    "stable_diffusion_1.4": (_stable_diffusion_1_4, load_kerascv_weights),
}


def load_base(preset, *, weights="pretrained", image_size=None, dtype=None, vocabulary=None, seed=None):
    """Build a base by name.

    Args:
        preset: str, a key of `PRESETS`.
        weights: `"pretrained"`, or `None` for random ones.
        image_size: int or (height, width) in pixels; `None` for the preset's own.
        dtype: dtype policy of text encoder and UNet; `None` for the global one.
        vocabulary: path of a gzipped BPE merge list; `None` for the preset's own.
        seed: int. Seed of random weights; `None` leaves the global state alone.

    Returns:
        `StableDiffusionBase`.

    Raises:
        ValueError: for an unknown name, a size the base cannot do, or weights that cannot be had.

    Example:

    ```python
    base = keras_booth.bases.load_base("tiny_world")
    ```
    """
    if preset not in PRESETS:
        raise ValueError(f"`preset` must be one of {tuple(PRESETS)}. Received: preset={preset!r}")
    if weights not in ("pretrained", None):
        raise ValueError(f"`weights` must be 'pretrained' or None. Received: weights={weights!r}")
    describe, load = PRESETS[preset]
    config, tokenizer = describe(vocabulary)
    if image_size is not None:
        config = config.with_image_size(image_size)
    if seed is not None:
        keras.utils.set_random_seed(seed)
    base = StableDiffusionBase(config, tokenizer, dtype)
    if weights is not None:
        load(base)
    return base
