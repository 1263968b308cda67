"""Photographs and what they show."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from keras_booth.data.captions import caption_files, read_captions
from keras_booth.data.errors import PhotoError
from keras_booth.data.reading.photographs import find_photos
from keras_booth.data.tfds_photos import Builder, builder_photos
from keras_booth.tools.annotations import FilePath
from keras_booth.tools.prompts import require_prompt
from keras_booth.tools.wording import names, shown

logger = logging.getLogger("keras_booth")

CROPS = ("center", "random")


@dataclass(frozen=True)
class PhotoSet:
    """Photographs that share one prompt, or have a caption each.

    Args:
        paths: Tuple of `Path`, at least one. Other sequences of paths are converted.
        prompt: String, what all of them show, e.g. `"a photo of sks dog"`.
        captions: Tuple of strings, one a photograph, in place of the prompt; or empty.
        latents: Tuple of `Path` of `.npy` files, one a photograph, with the scaled latents it was decoded from, float32
            `(h, w, channels)`; or empty. `photo_dataset` with `cache_latents` takes them where it would encode the
            photograph as it is. They must be of the autoencoder of the model that is trained.
        crop: `"center"` or `"random"`, how `photo_dataset` cuts these photographs; `None` for its own `crop`.
        flip: Boolean, whether it mirrors these photographs at random; `None` for its own `flip`.

    Example:

    >>> photos = PhotoSet.from_folder("photos/my_dog", "a photo of sks dog")
    """

    paths: tuple[Path, ...]
    prompt: str
    captions: tuple[str, ...] = ()
    latents: tuple[Path, ...] = ()
    crop: str | None = None
    flip: bool | None = None

    def __post_init__(self):
        if isinstance(self.paths, (str, os.PathLike)):
            raise PhotoError(
                f"`paths` must list single photos: use PhotoSet.from_folder for a folder. "
                f"Received: paths='{os.fspath(self.paths)}'"
            )
        object.__setattr__(self, "paths", _as_paths("paths", self.paths))
        if not self.paths:
            raise PhotoError("A PhotoSet must hold at least one photo: add one to `paths`. Received: paths=()")
        if not isinstance(self.prompt, str):
            raise PhotoError(f"`prompt` must be a string that all photos share. Received: prompt={self.prompt!r}")
        require_prompt(self.prompt, "`prompt`", empty=True)
        if isinstance(self.captions, str) or not isinstance(self.captions, Sequence):
            raise PhotoError(f"`captions` must list texts. Received: captions={shown(self.captions)}")
        for caption in self.captions:
            require_prompt(caption, "`captions`")
        if self.captions and len(self.captions) != len(self.paths):
            raise PhotoError(
                f"`captions` must have one text for each photo. Received: {len(self.captions)} captions, "
                f"{len(self.paths)} photos"
            )
        object.__setattr__(self, "latents", _as_paths("latents", self.latents))
        if self.latents and len(self.latents) != len(self.paths):
            raise PhotoError(
                f"`latents` must have one file for each photo. Received: {len(self.latents)} files, "
                f"{len(self.paths)} photos"
            )
        if self.crop is not None:
            check_crop(self.crop)

    @property
    def prompts(self) -> tuple[str, ...]:
        """Tuple of strings, the text of each photograph."""
        return tuple(self.captions) or (self.prompt,) * len(self.paths)

    @classmethod
    def from_tfds(cls, builder: Builder, prompt: str, folder: FilePath | None = None) -> PhotoSet:
        """Makes the set of the photographs of a TensorFlow Datasets builder, such as `dreambooth_builder("dog6")`.

        They are downloaded and prepared if they were not yet, and written as files, whose bytes are the dataset's.

        Args:
            builder: `tfds.core.DatasetBuilder` with the features `image`, in JPEG or PNG, and `filename`.
            prompt: String.
            folder: String or `Path` of the folder for the files; `None` for one in `$KERAS_BOOTH_CACHE`, or
                `~/.cache/keras_booth`.
        """
        return cls(tuple(builder_photos(builder, folder)), prompt)

    def first(self, count: int) -> PhotoSet:
        """The set of the first `count` photographs."""
        return self._part(slice(count))

    def without_first(self, count: int) -> PhotoSet:
        """The set of the photographs behind the first `count`."""
        return self._part(slice(count, None))

    def _part(self, chosen):
        return replace(self, paths=self.paths[chosen], captions=self.captions[chosen], latents=self.latents[chosen])

    @classmethod
    def from_folder(cls, folder: FilePath, prompt: str, captions: bool = False) -> PhotoSet:
        """Makes the set of all photographs that `find_photos` finds in `folder`.

        Captions that are there but not wanted, and photographs without one where they are, are named in a warning on
        the logger `"keras_booth"`.

        Args:
            folder: String or `Path`.
            prompt: String.
            captions: Boolean, whether to take captions from the files beside the photographs; see `read_captions`.
        """
        paths = tuple(find_photos(folder))
        if captions:
            return cls(paths, prompt, tuple(read_captions(paths, prompt)))
        unused = caption_files(paths)
        if unused:
            logger.warning("Captions in %s are not used: %s. Take them with captions=True.", folder, names(unused))
        return cls(paths, prompt)


def _as_paths(field, paths):
    """A tuple of `Path` of a sequence of paths."""
    try:
        return tuple(Path(path) for path in paths)
    except TypeError as error:
        raise PhotoError(f"`{field}` must list paths of files. Received: {field}={shown(paths)}") from error


def check_crop(crop: str) -> None:
    """Raises a `PhotoError` unless `crop` is a way to cut photographs."""
    if not isinstance(crop, str) or crop not in CROPS:
        raise PhotoError(f"`crop` must be 'center' or 'random'. Received: crop={crop!r}")
