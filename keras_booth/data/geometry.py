"""Resize and crop pictures: uint8 arrays of shape `(height, width, 3)` in and out. Aspect is always kept."""

import numpy as np
from PIL import Image


def as_pair(size: int | tuple[int, int]) -> tuple[int, int]:
    """Returns `size`, an int or a pair, as `(height, width)`."""
    height, width = (size, size) if np.ndim(size) == 0 else size
    return int(height), int(width)


def resize_short_side(image: np.ndarray, size: int | tuple[int, int]) -> np.ndarray:
    """Resizes a picture, antialiased, until its short side is `size`.

    Args:
        image: uint8 array of shape `(height, width, 3)`.
        size: Int, or a pair `(height, width)` that the result is to cover: one side fits exactly, the other has
            at least that length.

    Returns:
        uint8 array of the same aspect (to half a pixel).
    """
    height, width = as_pair(size)
    old_height, old_width = image.shape[:2]
    if old_height * width >= old_width * height:  # the picture is the taller one: widths must agree
        new_height, new_width = max(height, round(old_height * width / old_width)), width
    else:
        new_height, new_width = height, max(width, round(old_width * height / old_height))
    if (new_height, new_width) == (old_height, old_width):
        return image
    # Pillow's filters widen with the scale, so no detail aliases; reducing_gap only makes large reductions faster.
    resized = Image.fromarray(image).resize((new_width, new_height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.array(resized)


def center_crop(image: np.ndarray, size: int | tuple[int, int]) -> np.ndarray:
    """Cuts `size` (int or `(height, width)`) out of the middle. The picture must cover it."""
    height, width = as_pair(size)
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


def fit_to(image: np.ndarray, size: int | tuple[int, int]) -> np.ndarray:
    """Resizes a picture and cuts its middle to `size` (int or `(height, width)`)."""
    return center_crop(resize_short_side(image, size), size)


def random_crop(image: np.ndarray, size: int | tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Cuts `size` (int or `(height, width)`) out at a place drawn from `rng`, a `numpy.random.Generator`."""
    height, width = as_pair(size)
    top = rng.integers(image.shape[0] - height + 1)
    left = rng.integers(image.shape[1] - width + 1)
    return image[top : top + height, left : left + width]


def flip_left_right(image: np.ndarray) -> np.ndarray:
    """Mirrors a picture."""
    return image[:, ::-1]
