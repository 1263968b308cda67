"""Real pictures for the tests of `keras_booth.data`, written with Pillow or, where Pillow cannot, by hand."""

import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

REAL_PHOTOS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "dreambooth"


@dataclass
class Booth:
    """The little of a DreamBooth model that the data needs."""

    instance_prompt: str = "a photo of sks dog"
    class_prompt: str = "a photo of a dog"
    image_size: object = 8
    tokenized: list = field(default_factory=list)

    def tokenize(self, prompts):
        self.tokenized.append(list(prompts))
        return np.array([[len(prompt), ord(prompt[-1]), 49407, 49407] for prompt in prompts])


@pytest.fixture
def make_booth():
    return Booth


@pytest.fixture
def noise():
    """A picture without structure, which no format can shrink to a few bytes."""
    return np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


@pytest.fixture
def write_values(tmp_path):
    """Writes one PNG a value, all of its pixels that value, so that a batch tells which photos are in it."""

    def write(name, values, size=(8, 8)):
        folder = tmp_path / name
        folder.mkdir()
        for value in values:
            Image.new("RGB", size, (value, value, value)).save(folder / f"{value:03d}.png")
        return folder

    return write


@pytest.fixture
def write_png16():
    """Writes a 16-bit PNG of 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA) channels, which Pillow cannot."""

    def write(path, values):
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

    return write


def _icc_profile(space, tags):
    """A minimal ICC v2 display profile."""
    table, body, offset = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += b"\0" * (-len(content) % 4)
        table += name + struct.pack(">II", offset + len(body), len(content))
        body += content
    size = offset + len(body)
    header = struct.pack(">I4sI4s4s4s12s4s", size, b"none", 0x02400000, b"mntr", space, b"XYZ ", b"\0" * 12, b"acsp")
    header = header.ljust(68, b"\0") + struct.pack(">iii", *WHITE_D50)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


WHITE_D50 = (63190, 65536, 54061)  # in 1/65536
SRGB_PRIMARIES = ((28578, 14581, 912), (25241, 46981, 6362), (9376, 3974, 46799))  # red, green, blue, adapted to D50


def _xyz(values):
    return b"XYZ \0\0\0\0" + struct.pack(">iii", *values)


LINEAR_CURVE = b"curv" + struct.pack(">IIH", 0, 1, 256)


@pytest.fixture
def linear_rgb_profile():
    """sRGB's primaries with a linear tone curve: half of the light is 128 here and 188 in sRGB."""
    tags = dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(_xyz, SRGB_PRIMARIES), strict=True))
    tags |= {b"rTRC": LINEAR_CURVE, b"gTRC": LINEAR_CURVE, b"bTRC": LINEAR_CURVE, b"wtpt": _xyz(WHITE_D50)}
    return _icc_profile(b"RGB ", tags)


@pytest.fixture
def linear_gray_profile():
    return _icc_profile(b"GRAY", {b"kTRC": LINEAR_CURVE, b"wtpt": _xyz(WHITE_D50)})


@pytest.fixture
def real_photos():
    """The folder of real photographs, one sub folder a subject."""
    if not REAL_PHOTOS.is_dir():
        pytest.skip("../shared is not here")
    return REAL_PHOTOS
