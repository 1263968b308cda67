"""A checkpoint of each family, and the base made of it."""

import pytest

from keras_booth.bases import load_base
from tests.bases.checkpoints.families import FAMILIES, write_checkpoint


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def folder(family, tmp_path_factory):
    return write_checkpoint(family, tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def base(folder):
    return load_base(folder)
