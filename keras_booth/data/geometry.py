"""Resize and crop pictures: uint8 arrays of shape `(height, width, 3)` in and out. Aspect is always kept."""

import dataclasses

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
    return cut(image, size, center_corner(image.shape, size))


def center_corner(shape: tuple[int, ...], size: int | tuple[int, int]) -> tuple[int, int]:
    """`(top, left)` of what `center_crop` cuts out of a picture of some shape."""
    height, width = as_pair(size)
    return (shape[0] - height) // 2, (shape[1] - width) // 2


def cut(image: np.ndarray, size: int | tuple[int, int], corner: tuple[int, int]) -> np.ndarray:
    """Cuts `size` (int or `(height, width)`) out of a picture from `(top, left)` on."""
    (top, left), (height, width) = corner, as_pair(size)
    return image[top : top + height, left : left + width]


def fit_to(image: np.ndarray, size: int | tuple[int, int]) -> np.ndarray:
    """Resizes a picture and cuts its middle to `size` (int or `(height, width)`)."""
    return center_crop(resize_short_side(image, size), size)


def random_corner(shape: tuple[int, ...], size: int | tuple[int, int], rng: np.random.Generator) -> tuple[int, int]:
    """`(top, left)` of a cut of `size` (int or `(height, width)`) out of a picture of some shape, drawn from `rng`, a
    `numpy.random.Generator`."""
    height, width = as_pair(size)
    top = rng.integers(shape[0] - height + 1)
    left = rng.integers(shape[1] - width + 1)
    return int(top), int(left)


def flip_left_right(image: np.ndarray) -> np.ndarray:
    """Mirrors a picture."""
    return image[:, ::-1]


@dataclasses.dataclass(frozen=True)
class View:
    """What is shown of a picture that was resized.

    Args:
        shape: (height, width) of the resized picture.
        size: (height, width) of what is shown.
        corner: (top, left) of what is cut out of it; `None` for its middle, which was cut out already.
        mirror: bool. Whether it is mirrored.
    """

    shape: tuple[int, int]
    size: tuple[int, int]
    corner: tuple[int, int] | None = None
    mirror: bool = False

    def of(self, image: np.ndarray) -> np.ndarray:
        """The picture that is shown."""
        shown = image if self.corner is None else cut(image, self.size, self.corner)
        return flip_left_right(shown) if self.mirror else shown

    @property
    def place(self) -> tuple[int, int]:
        """(top, left) of what is shown; where it is mirrored, in the mirrored picture."""
        top, left = center_corner(self.shape, self.size) if self.corner is None else self.corner
        return top, self.shape[1] - self.size[1] - left if self.mirror else left
