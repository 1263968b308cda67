"""Open a picture of any format within a limit of memory."""

import dataclasses
import os
import warnings

from PIL import ExifTags, Image, UnidentifiedImageError

from keras_booth.data.errors import PhotoError
from keras_booth.data.reading.formats import HEAD_BYTES, format_of, opener_of
from keras_booth.data.reading.png_chunks import without_large_chunks
from keras_booth.tools.files.reading import open_ordinary, size_text

# Larger photographs come reduced: no base draws more than a few megapixels.
WHOLE_PIXELS = 64_000_000
# What they are reduced to at most, so that with the pixels of the file they stay below a gigabyte.
REDUCED_PIXELS = 40_000_000
# What is opened at all. A JPEG is reduced while it is decoded; of others all pixels are in memory at first, 4 bytes
# each, and of some there are two copies.
MOST_PIXELS = {"JPEG": 300_000_000, "PNG": 210_000_000}
MOST_PIXELS_UNREDUCED = 150_000_000
# Its short side is made as long as that of the pictures, whatever the long one becomes.
MOST_RATIO = 50
# A TIFF of as many pixels has half of it.
MOST_BYTES = 2**30
DNG_VERSION_TAG = 50706


@dataclasses.dataclass(frozen=True)
class Opened:
    """A decoded picture.

    Args:
        image: Pillow image, as the file has it.
        orientation: Int, what EXIF says about how the camera was held.
        scale: Int, how many times smaller than in the file its sides are to be.
        left: Int, what of that is still to be done.
    """

    image: Image.Image
    orientation: int
    scale: int
    left: int


def open_picture(path):
    """Opens a picture and decodes it, a very large JPEG at a part of its size.

    Args:
        path: String or `Path`.

    Returns:
        `Opened`.

    Raises:
        PhotoError: If there are more pixels than can be opened, or what opens the format is missing.
        Exception: Of a decoder, for a damaged file.
    """
    with open_ordinary(path) as file:
        if os.fstat(file.fileno()).st_size > MOST_BYTES:
            raise PhotoError(f"The photo's file is larger than {size_text(MOST_BYTES)}. Received: path='{path}'")
        name = format_of(file.read(HEAD_BYTES) or b"")
        if name is None:
            raise UnidentifiedImageError(path)
        file.seek(0)
        source, profile = without_large_chunks(file) if name == "PNG" else (file, None)
        with opener_of(name, path)(source, str(path)) as image:
            if profile:
                image.info["icc_profile"] = profile
            if name == "TIFF" and DNG_VERSION_TAG in image.tag_v2:
                raise PhotoError(f"The photo is a camera's raw file: save it as JPEG. Received: path='{path}'")
            check_size(image, name, path)
            scale, left = _load(image, name)
            return Opened(image, _orientation(image), scale, left)


def check_size(image, name, path):
    """Refuses a picture of more pixels than can be opened, and a strip."""
    width, height = image.size
    if max(width, height) > MOST_RATIO * min(width, height):
        raise PhotoError(
            f"The photo is a strip, {width} x {height} pixels, where the long side may have {MOST_RATIO} times the "
            f"short one: cut it. Received: path='{path}'"
        )
    most = MOST_PIXELS.get(name, MOST_PIXELS_UNREDUCED)
    if width * height > most:
        raise PhotoError(
            f"The photo is too large, {width} x {height} pixels, where a {name} file may have {most // 10**6} million: "
            f"save it smaller, 4000 pixels on the long side are plenty. Received: path='{path}'"
        )


def _load(image, name):
    """Decodes, a JPEG at a half, a quarter or an eighth of its size where that is enough. Returns `(scale, left)`."""
    pixels = image.width * image.height
    scale = 1 if pixels <= WHOLE_PIXELS else 2
    while scale > 1 and pixels > REDUCED_PIXELS * scale**2:
        scale *= 2
    reduced = name == "JPEG" and scale > 1
    if reduced:
        image.draft(None, (image.width // scale, image.height // scale))
    if image.width * image.height <= WHOLE_PIXELS:
        image.load()
    else:
        with warnings.catch_warnings():
            # TIFF warns of an attack once more when it decodes; the size was looked at before.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image.load()
    return scale, 1 if reduced else scale


def _orientation(image):
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged EXIF says nothing about the pixels, which are fine
        return 1
