"""What is done to pictures before an encoder sees them, as its `preprocessor_config.json` says."""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from keras_booth.tools.annotations import FilePath
from keras_booth.tools.errors import CheckpointError
from keras_booth.tools.wording import shown


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """Resize, cut, scale: the steps of transformers' image processors, with Pillow's filters.

    Args:
        size: (height, width) in pixels; or int, the shorter side, the other one in proportion.
        resample: int, Pillow's number of a filter: 2 is bilinear, 3 bicubic.
        crop: (height, width) of the center that is cut out; `None` for all.
        mean, deviation: three floats each, of the channels of pictures in `[0, 1]`.
    """

    size: int | tuple[int, int]
    resample: int
    crop: tuple[int, int] | None
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]

    @classmethod
    def of(cls, fields: Mapping[str, Any], path: FilePath) -> Preprocessing:
        """Reads what a preprocessor's config says, of whichever version of transformers wrote it.

        Args:
            fields: dict, of the file.
            path: str or `Path` of the file, for what is said of mistakes.

        Raises:
            CheckpointError: for a step that is missing or that no encoder here takes.
        """

        def refuse(name):
            raise CheckpointError(f"{name} is not supported. Received: {name}={shown(fields.get(name))} in {path}")

        for name, usual in (("do_resize", True), ("do_normalize", True), ("rescale_factor", 1 / 255)):
            if fields.get(name, usual) != usual:
                refuse(name)
        size, crop = fields.get("size"), fields.get("crop_size") if fields.get("do_center_crop") else None
        shorter = size.get("shortest_edge") if isinstance(size, Mapping) else None
        # Older files say one number, which is the shorter side where pictures are cut, and both sides where not.
        if crop is not None and is_side(size):
            shorter = size
        resample = fields.get("resample", Image.Resampling.BILINEAR)
        if resample not in list(Image.Resampling):
            refuse("resample")
        mean, deviation = fields.get("image_mean"), fields.get("image_std")
        for name, values in (("image_mean", mean), ("image_std", deviation)):
            if not isinstance(values, (list, tuple)) or len(values) != 3 or not all(map(is_number, values)):
                refuse(name)
        if 0 in deviation:
            refuse("image_std")
        sides = shorter if is_side(shorter) else both_sides(size)
        if sides is None:
            refuse("size")
        cut = None if crop is None else both_sides(crop)
        if crop is not None and cut is None:
            refuse("crop_size")
        return cls(sides, int(resample), cut, tuple(mean), tuple(deviation))

    @property
    def output_size(self) -> tuple[int, int] | None:
        """(height, width) of what comes out; `None` if it depends on the picture."""
        return self.crop or (self.size if isinstance(self.size, tuple) else None)

    def __call__(self, pictures: Iterable[ArrayLike]) -> np.ndarray:
        """Prepares pictures, which may be of different sizes.

        Args:
            pictures: iterable of uint8 arrays `(H, W, 3)`.

        Returns:
            float32 array `(count, height, width, 3)`.
        """
        mean, deviation = (np.array(values, "float32") for values in (self.mean, self.deviation))
        return np.stack([(self.shaped(picture) / np.float32(255) - mean) / deviation for picture in pictures])

    def shaped(self, picture: ArrayLike) -> np.ndarray:
        """A picture resized and cut: uint8 `(height, width, 3)`."""
        image = Image.fromarray(np.asarray(picture))
        height, width = self._resized(image.height, image.width)
        image = image.resize((width, height), self.resample)
        if self.crop is None:
            return np.asarray(image)
        top, left = ((have - want) // 2 for have, want in zip((height, width), self.crop, strict=True))
        # Pillow fills what lies outside with black, as the original does.
        return np.asarray(image.crop((left, top, left + self.crop[1], top + self.crop[0])))

    def _resized(self, height, width):
        if isinstance(self.size, tuple):
            return self.size
        short = min(height, width)
        return tuple(self.size if side == short else int(self.size * side / short) for side in (height, width))


def is_side(value):
    """Whether something is a number of pixels."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and 0 < value <= 4096


def is_number(value):
    """Whether something is a finite number."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and np.isfinite(value)


def both_sides(size):
    """(height, width) of what a config says of a size; `None` for anything else."""
    sides = (size.get("height"), size.get("width")) if isinstance(size, Mapping) else (size, size)
    return sides if all(map(is_side, sides)) else None
