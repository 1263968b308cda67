"""Class images: what the frozen base draws of the class, so that it is kept (arXiv:2208.12242, section 3.2)."""

import hashlib
import json
import os
import pathlib
import re

import numpy as np
import tqdm
from PIL import Image, UnidentifiedImageError

from keras_booth.data import PhotoSet


def cache_folder():
    """Folder of all class images: `$KERAS_BOOTH_CACHE`, or `~/.cache/keras_booth`."""
    return pathlib.Path(os.environ.get("KERAS_BOOTH_CACHE") or pathlib.Path.home() / ".cache" / "keras_booth")


def digest(models):
    """Short hexadecimal digest of the weights of `keras.Model`s."""
    hasher = hashlib.blake2b(digest_size=8)
    for model in models:
        for variable in model.weights:
            hasher.update(np.ascontiguousarray(variable.numpy()).data)
    return hasher.hexdigest()


def describe(booth, prompt, steps, guidance_scale, seed):
    """What a set of class images depends on, as a dict. Two sets with the same description are the same pictures."""
    base = booth.base
    return {
        "base": base.config.to_dict(),
        "weights": digest([base.text_encoder, base.unet, base.decoder]),
        "dtype": booth.dtype_policy.name,
        "prompt": prompt,
        "sampler": "ddim",
        "steps": steps,
        "guidance_scale": guidance_scale,
        "seed": seed,
    }


def is_whole(path):
    """Whether `path` is a picture that can be read to its end."""
    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, UnidentifiedImageError):
        return False
    return True


def write_png(path, picture):
    """Write a uint8 picture losslessly, under a temporary name until it is whole."""
    part = path.with_suffix(f".{os.getpid()}.part")
    Image.fromarray(picture).save(part, format="png")
    part.replace(path)


def draw_class_images(booth, prompt, count, folder, seed, batch_size, steps, guidance_scale, progress):
    """Draw the class images that are not there yet.

    Args:
        booth: `DreamBooth`.
        prompt: str, the class prompt.
        count: int. Number of images.
        folder: path under which the set gets a folder named after its description; `None` for the cache.
        seed, batch_size, steps, guidance_scale: as in `DreamBooth.generate`.
        progress: bool. Whether to show a bar.

    Returns:
        `PhotoSet` of `count` PNG files.
    """
    description = describe(booth, prompt, steps, guidance_scale, seed)
    text = json.dumps(description, indent=1, sort_keys=True)
    words = "_".join(re.findall(r"\w+", prompt.removeprefix("a photo of "))[:4])
    name = f"{words}-{hashlib.blake2b(text.encode(), digest_size=6).hexdigest()}"
    folder = pathlib.Path(folder or cache_folder() / "class_images") / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "description.txt").write_text(text)
    paths = [folder / f"{index:05d}.png" for index in range(count)]
    missing = [index for index, path in enumerate(paths) if not is_whole(path)]
    with tqdm.tqdm(total=len(missing), desc="class images", unit="image", disable=not (progress and missing)) as bar:
        for start in range(0, len(missing), batch_size):
            batch = missing[start : start + batch_size]
            pictures, _ = booth.generate_indices(
                prompt, batch, seed=seed, steps=steps, guidance_scale=guidance_scale, batch_size=batch_size
            )
            for index, picture in zip(batch, pictures, strict=True):
                write_png(paths[index], picture)
            bar.update(len(batch))
    return PhotoSet(tuple(paths), prompt)
