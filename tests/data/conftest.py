"""Real pictures for the tests of `keras_booth.data`, written with Pillow or, where Pillow cannot, by hand."""

import numpy as np
import pytest
from PIL import Image

from tests.helpers import profiles
from tests.helpers.data_booth import Booth


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
def linear_rgb_profile():
    return profiles.linear_rgb()


@pytest.fixture
def linear_gray_profile():
    return profiles.linear_gray()
