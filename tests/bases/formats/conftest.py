"""The base made of a checkpoint of each family."""

import pytest

from keras_booth.bases import load_base


@pytest.fixture(scope="module")
def base(folder):
    return load_base(folder)
