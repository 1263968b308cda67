"""Photographs that share one prompt."""

import os
from dataclasses import dataclass
from pathlib import Path

from keras_booth.data.errors import PhotoError
from keras_booth.data.photographs import find_photos


@dataclass(frozen=True)
class PhotoSet:
    """Photographs that share one prompt.

    Args:
        paths: Tuple of `Path`, at least one. Other sequences of paths are converted.
        prompt: String, what all of them show, e.g. `"a photo of sks dog"`.

    Example:

    >>> photos = PhotoSet.from_folder("photos/my_dog", "a photo of sks dog")
    """

    paths: tuple[Path, ...]
    prompt: str

    def __post_init__(self):
        if isinstance(self.paths, (str, os.PathLike)):
            raise PhotoError(
                f"`paths` must list single photos: use PhotoSet.from_folder for a folder. "
                f"Received: paths='{os.fspath(self.paths)}'"
            )
        object.__setattr__(self, "paths", tuple(Path(path) for path in self.paths))
        if not self.paths:
            raise PhotoError("A PhotoSet must hold at least one photo: add one to `paths`. Received: paths=()")
        if not isinstance(self.prompt, str):
            raise PhotoError(f"`prompt` must be a string that all photos share. Received: prompt={self.prompt!r}")

    @classmethod
    def from_folder(cls, folder, prompt):
        """Makes the set of all photographs that `find_photos` finds in `folder`."""
        return cls(tuple(find_photos(folder)), prompt)
