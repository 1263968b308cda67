"""Fixtures of all folders; one also lets go of models."""

import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import pytest

from tests.helpers.checkpoints.families import FAMILIES, write_checkpoint
from tests.helpers.places import SHARED

# What the imports have left stays: garbage is looked for among the rest, in a fraction of the time.
gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def fresh_session():
    """Let go of the models of each file: the graphs of hundreds would slow down the rest."""
    yield
    keras.utils.clear_session()
    gc.freeze()  # TensorFlow keeps the graphs of functions in functions: 100 000 objects a compiled training step


@pytest.fixture(scope="session")
def photographs():
    """Folder of real photographs, by subject; the test is skipped where they are not."""
    folder = SHARED / "data" / "dreambooth"
    if not folder.is_dir():
        pytest.skip("../shared/data/dreambooth is not there")
    return folder


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    """Each family of Stable Diffusion, by turns."""
    return request.param


@pytest.fixture(scope="module")
def folder(family, tmp_path_factory):
    """Folder of a checkpoint of the family in diffusers' format."""
    return write_checkpoint(family, tmp_path_factory.mktemp("checkpoint"))
