"""Find photographs in a folder and read them as sRGB arrays, whatever camera, phone or editor wrote them."""

import io
import logging
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from keras_booth.data.errors import PhotoError
from keras_booth.tools.errors import InputError

logger = logging.getLogger("keras_booth")

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif"})
# What EXIF says about how the camera was held, as the move that undoes it; 1 (and anything unknown) is upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ORIENTATION_TAG = 0x0112
# The Pillow mode in which an ICC profile expects its pixels.
MODE_OF_PROFILE = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}


def find_photos(folder):
    """Lists the photographs of a folder, sorted by name.

    A photograph is a file that is named like a JPEG, PNG, WebP, BMP or GIF, or that begins like one. Everything else
    (`.DS_Store`, `Thumbs.db`, `.ipynb_checkpoints`, captions, sub folders, any hidden file) is left out, with one
    warning on the logger `"keras_booth"` that names it.

    Args:
        folder: String or `Path`, an existing folder.

    Returns:
        A non-empty list of `Path`, each `folder / name`.

    Raises:
        PhotoError: If the folder does not exist, is a file, cannot be opened or holds no photograph.
    """
    entries = _entries(Path(folder))
    photos = [entry for entry in entries if _looks_like_photo(entry)]
    others = sorted({entry.name for entry in entries} - {photo.name for photo in photos})
    if not photos:
        found = f"holds only {_names(others)}" if others else "is empty"
        raise PhotoError(
            f"There is no photo in the folder: put at least one JPEG, PNG, WebP, BMP or GIF file into it. "
            f"Received: folder='{folder}', which {found}"
        )
    if others:
        logger.warning("Ignored in %s, because they are not photos: %s", folder, _names(others))
    return photos


def read_photo(path):
    """Reads one photograph as it is meant to be seen.

    EXIF orientation is applied, transparency is laid on white, an embedded ICC profile is converted to sRGB, palette,
    grey, 1-bit, CMYK and 16-bit pixels become 8-bit RGB, and of an animation the first frame is taken.

    Args:
        path: String or `Path`, a JPEG, PNG, WebP, BMP or GIF file.

    Returns:
        uint8 array of shape `(height, width, 3)`, sRGB, values in `[0, 255]`.

    Raises:
        PhotoError: If the file is missing, truncated, or not a photograph of these formats.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            image.load()
            return np.array(_upright(_to_srgb(image), _orientation(image)))
    # A decoder meets a broken file in its own way (OSError, SyntaxError, struct.error, zlib.error ...): all mean this.
    except Exception as error:
        raise PhotoError(
            f"The photo cannot be read ({_reason(error)}): replace it or take it out. Received: path='{path}'"
        ) from error


def _entries(folder):
    if not folder.exists():
        raise PhotoError(
            f"The photo folder does not exist: give the path of an existing one. Received: folder='{folder}'"
        )
    if not folder.is_dir():
        raise PhotoError(
            f"The photo folder is a file: give the folder that holds the photos. Received: folder='{folder}'"
        )
    try:
        return sorted(folder.iterdir(), key=lambda entry: entry.name)
    except OSError as error:
        raise PhotoError(
            f"The photo folder cannot be opened ({_reason(error)}): make it readable. Received: folder='{folder}'"
        ) from error


def _looks_like_photo(path):
    # Hidden files come first: macOS leaves `._IMG_1.jpg` beside `IMG_1.jpg` on foreign disks, and it is no picture.
    if path.name.startswith(".") or not path.is_file():
        return False
    return path.suffix.lower() in SUFFIXES or _begins_like_photo(path)


def _begins_like_photo(path):
    try:
        with open(path, "rb") as file:
            head = file.read(18)
    except OSError:
        return False
    if head[:4] == b"RIFF":
        return head[8:12] == b"WEBP"
    if head[:2] == b"BM":  # two letters would also accept a caption about a BMW, so the header's size must be there
        return int.from_bytes(head[14:18], "little") in {12, 16, 40, 52, 56, 64, 108, 124}
    return head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a"))


def _names(names, limit=8):
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def _reason(error):
    if isinstance(error, UnidentifiedImageError):
        return "it is not a JPEG, PNG, WebP, BMP or GIF file, or damaged from its first bytes on"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _orientation(image):
    try:
        return image.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # damaged EXIF says nothing about the pixels, which are fine
        return 1


def _upright(image, orientation):
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def _to_srgb(image):
    profile = image.info.get("icc_profile")
    image = _flatten(_eight_bits(image))
    if profile:
        try:
            return _apply_profile(image, ImageCms.ImageCmsProfile(io.BytesIO(profile)))
        except (ImageCms.PyCMSError, OSError, ValueError, ImportError):
            pass  # an invalid or unfitting profile: take the numbers for sRGB, as a browser does
    return image.convert("RGB")


def _eight_bits(image):
    if image.mode == "I" or image.mode.startswith("I;16"):
        # Pillow's own `convert` clips at 255. 16 bits are scaled: 65535 is white.
        values = np.asarray(image).astype("float64") / 257.0
        return Image.fromarray(np.clip(np.round(values), 0, 255).astype("uint8"))
    return image


def _flatten(image):
    """Lays transparency on white and resolves palettes; the result is L, CMYK or RGB."""
    if image.mode == "CMYK":
        return image
    opaque = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(opaque)


def _apply_profile(image, profile):
    mode = MODE_OF_PROFILE.get(profile.profile.xcolor_space)
    if (image.mode, mode) == ("L", "RGB"):  # editors leave an RGB profile in pictures that they turned grey
        image = image.convert("RGB")
    if image.mode != mode:
        raise InputError("the profile describes other colours than the picture has")
    # Optimised, littlecms samples a grey curve so coarsely that shadows come out 10 levels off.
    flags = ImageCms.Flags.NOOPTIMIZE if mode == "L" else ImageCms.Flags.NONE
    return ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB", flags=flags)
