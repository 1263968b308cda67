"""Class images: what the frozen base draws of the class, so that it is kept (arXiv:2208.12242, section 3.2)."""

import contextlib
import functools
import hashlib
import logging
from collections.abc import Iterable

import keras
import numpy as np
import tqdm

from keras_booth.bases import described, vocabulary_digest
from keras_booth.dreambooth.prior.cache import ClassCache
from keras_booth.tools.errors import InputError
from keras_booth.tools.process.processes import first_says, is_first, wait_for_first


def drawing_variables(booth):
    """list of the variables that pictures depend on. LoRA that is not trained yet, or of scale 0, changes none."""
    base, adapters = booth.base, booth.adapters
    idle = adapters and not adapters.active
    without = {id(variable) for variable in adapters.variables} if idle else set()
    models = (*base.text_encoders.values(), base.unet, base.decoder)
    return [variable for model in models for variable in model.weights if id(variable) not in without]


def weights_digest(variables: Iterable[keras.Variable]) -> str:
    """Short hexadecimal digest of the values of variables."""
    hasher = hashlib.blake2b(digest_size=8)
    for variable in variables:
        # As bytes: bfloat16 is no type that Python's buffers know.
        hasher.update(np.ascontiguousarray(variable.numpy()).view("uint8").data)
    return hasher.hexdigest()


def describe(booth, prompt, settings, seed):
    """What a set of class images depends on, as a dict. Two sets with the same description are the same pictures.

    Up to rounding, that is: the batch size, which is not in it, may change a picture by one level of 255.
    """
    with booth.base.present():
        weights = weights_digest(drawing_variables(booth))
    return {
        "base": booth.base.config.to_dict(),
        "weights": weights,
        "vocabulary": vocabulary_digest(booth.base.tokenizer),
        "merged_tokens": booth.base.merged_tokens,
        "dtype": booth.dtype_policy.name,
        "prompt": prompt,
        **described(settings),
        "seed": seed,
    }


def draw_class_images(booth, prompt, count, folder, seed, batch_size, settings, progress):
    """Draw the class images that are not there yet. Other processes that want the same set wait, and find it drawn.

    Args:
        booth: `DreamBooth`.
        prompt: str, the class prompt; or a list of them, which take turns.
        count: int. Number of images.
        folder: path under which the set gets a folder named after its description; `None` for the cache.
        seed, batch_size: as in `DreamBooth.generate`.
        settings: `keras_booth.bases.DrawSettings`.
        progress: bool. Whether to show a bar.

    Returns:
        `PhotoSet` of `count` PNG files and the latents that they were decoded from.
    """
    if booth.base.fine_tuned:
        warn_of_fine_tuned(booth.base.config.name)
    cache = ClassCache(describe(booth, prompt, settings, seed), folder)
    if first_says(lambda: cache.missing(count)):
        with cache.locked() if is_first() else contextlib.nullcontext():
            draw_missing(booth, cache, count, seed, batch_size, settings, progress)
        _require_seen(cache, count)
    elif is_first():
        cache.tidy()
    return cache.photo_set(count)


def _require_seen(cache, count):
    """Refuses to go on where this process does not see what the first one wrote."""
    wait_for_first()
    if not is_first() and cache.missing(count):
        raise InputError(
            "All processes must see the same class images: set KERAS_BOOTH_CACHE to a folder that their machines "
            f"share. Received: {cache.folder}, in which some are missing"
        )


@functools.cache
def warn_of_fine_tuned(name):
    """Says once that class images are not those of an original base."""
    logging.getLogger("keras_booth").warning(
        f"The class images are drawn by a model that was fine-tuned already, on top of {name}: what it lost of the "
        "class stays lost. To keep the class as the original base knows it, give images drawn by that one as "
        "prior.folder."
    )


def draw_missing(booth, cache, count, seed, batch_size, settings, progress):
    """Draw what a set lacks of its first `count` images. In `cache.locked`.

    An image is always drawn in the same place of the same batch: in another one it would round differently, and a set
    that was interrupted would not equal one that was not.
    """
    missing = set(first_says(lambda: cache.missing(count)))
    size = min(batch_size, count)
    there = count - len(missing)
    shown = progress and is_first()
    with tqdm.tqdm(total=count, initial=there, desc="class images", unit="image", disable=not shown) as bar:
        for first in sorted({index - index % size for index in missing}):
            batch = range(first, first + size)  # the last one goes on behind `count`
            keys = [(seed, index) for index in batch]
            drawn = booth.draw([cache.prompt_of(index) for index in batch], keys, settings, batch_size=size)
            images = {index: image for index, *image in zip(batch, *drawn, strict=True) if index in missing}
            if is_first():
                cache.add(images)
            bar.update(len(images))
