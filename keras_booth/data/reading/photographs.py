"""Find photographs in a folder and read them as sRGB arrays, whatever camera, phone or editor wrote them."""

import logging
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from keras_booth.data.captions import caption_files
from keras_booth.data.errors import PhotoError
from keras_booth.data.reading.colours import to_srgb
from keras_booth.data.reading.formats import KINDS, is_photo
from keras_booth.data.reading.opening import open_picture
from keras_booth.tools.annotations import FilePath
from keras_booth.tools.files.foreign import parsing
from keras_booth.tools.files.paths import check_path
from keras_booth.tools.wording import names

logger = logging.getLogger("keras_booth")

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


def find_photos(folder: FilePath) -> list[Path]:
    """Lists the photographs of a folder, sorted by name.

    A photograph is a file that is named like a JPEG, PNG, WebP, TIFF, AVIF, HEIC, BMP or GIF, or that begins like one
    (but not a camera's raw file, which begins as TIFF does). Everything else (`.DS_Store`, `Thumbs.db`,
    `.ipynb_checkpoints`, sub folders, any hidden file) is left out, with one warning on the logger `"keras_booth"`
    that names it; captions of the photographs are left out without.

    Args:
        folder: String or `Path`, an existing folder.

    Returns:
        A non-empty list of `Path`, each `folder / name`.

    Raises:
        PhotoError: If the folder does not exist, is a file, cannot be opened or holds no photograph.
    """
    check_path(folder, "folder")
    entries = _entries(Path(folder))
    photos = [entry for entry in entries if is_photo(entry)]
    known = {path.name for path in [*photos, *caption_files(photos)]}
    others = sorted({entry.name for entry in entries} - known)
    if not photos:
        found = f"holds only {names(others)}" if others else "is empty"
        raise PhotoError(
            f"There is no photo in the folder: put at least one {KINDS} file into it. "
            f"Received: folder='{folder}', which {found}"
        )
    if others:
        logger.warning("Ignored in %s, because they are not %s files: %s", folder, KINDS, names(others))
    return photos


def read_photo(path: FilePath) -> np.ndarray:
    """Reads one photograph as it is meant to be seen.

    EXIF orientation is applied, transparency is laid on white, an embedded ICC profile is converted to sRGB, palette,
    grey, 1-bit, CMYK, 16-bit and float pixels become 8-bit RGB, and of an animation or a document the first picture is
    taken. Of more than 64 megapixels the sides come halved, or quartered; a JPEG may have up to 300, a
    PNG 210, others 150; and the long side up to 50 times the short one.

    Args:
        path: String or `Path`, a JPEG, PNG, WebP, TIFF, AVIF, HEIC, BMP or GIF file.

    Returns:
        uint8 array of shape `(height, width, 3)`, sRGB, values in `[0, 255]`.

    Raises:
        PhotoError: If the file is missing, truncated, too large, or not a photograph of these formats.
    """
    return read_scaled(path)[0]


def read_scaled(path: FilePath) -> tuple[np.ndarray, int]:
    """`(read_photo(path), scale)`: in the file the sides are `scale` times as long."""
    what = "The photo cannot be read"
    with parsing(
        lambda reason: PhotoError(f"{what} ({reason}): replace it or take it out. Received: path='{path}'"), _reason
    ):
        opened = open_picture(path)
    image = to_srgb(opened.image, path, opened.left)
    return np.array(_upright(image, opened.orientation)), opened.scale


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


def _reason(error):
    if isinstance(error, UnidentifiedImageError):
        return f"it is not a {KINDS} file, or damaged from its first bytes on"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if str(error) == "unknown pixel mode":
        return "its pixels are of a kind that Pillow does not know, save it with 8 bits"
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _upright(image, orientation):
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image
