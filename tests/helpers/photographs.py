"""Pictures to write and compare: with Pillow or, where Pillow cannot, by hand."""

import struct
import zlib

import numpy as np
from PIL import Image

# EXIF orientation -> the visual sides at which the stored picture's row 0 and column 0 lie (Exif 2.3, tag 0x0112).
ORIENTATIONS = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


def write_photos(folder, count=3):
    """Writes some pictures of noise into a folder."""
    folder.mkdir(parents=True)
    for index in range(count):
        pixels = np.random.default_rng(index).integers(0, 256, (140, 160, 3), "uint8")
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder


def store_with_orientation(upright, orientation):
    """Turns a picture into what a camera would store under that orientation, from the definition."""
    row_side, column_side = ORIENTATIONS[orientation]
    stored = upright if row_side in ("top", "bottom") else upright.transpose(1, 0, 2)
    if row_side in ("bottom", "right"):
        stored = stored[::-1]
    if column_side in ("bottom", "right"):
        stored = stored[:, ::-1]
    return np.ascontiguousarray(stored)


def write_png16(path, values):
    """Writes a 16-bit PNG of 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA) channels, which Pillow cannot."""
    height, width, channels = values.shape
    color_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    data = [struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(data))
    return path


def picture_size(path):
    """`(width, height)` of a picture file that can be read to its end."""
    with Image.open(path) as picture:
        picture.load()
        return picture.size


def linear_to_srgb(values):
    light = values / 255.0
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def levels(one, other):
    """The largest difference of two uint8 pictures."""
    return np.abs(one.astype(int) - other.astype(int)).max()
