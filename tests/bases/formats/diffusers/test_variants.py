"""Which files of a folder, or of a repository, hold the weights: full precision, fp16, shards, and what is stale."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from keras_booth.bases import load_base
from keras_booth.bases.formats.tensors import weight_files
from tests.helpers.checkpoints.families import WEIGHT_FILES, write_checkpoint
from tests.helpers.checkpoints.variants import mix

WHOLE, HALF = "m.safetensors", "m.fp16.safetensors"
INDEX, HALF_INDEX = "m.safetensors.index.json", "m.safetensors.index.fp16.json"
SHARDS = {
    INDEX: ["m-00002-of-00002.safetensors", "m-00001-of-00002.safetensors"],
    HALF_INDEX: ["m-00001-of-00002.fp16.safetensors", "m-00002-of-00002.fp16.safetensors"],
}


@pytest.mark.parametrize(
    "names, expected",
    [
        ([WHOLE, HALF], [WHOLE]),
        ([HALF], [HALF]),
        ([INDEX, *SHARDS[INDEX]], sorted(SHARDS[INDEX])),
        ([HALF_INDEX, *SHARDS[HALF_INDEX]], SHARDS[HALF_INDEX]),
        ([INDEX, *SHARDS[INDEX], HALF_INDEX, *SHARDS[HALF_INDEX], HALF], sorted(SHARDS[INDEX])),
        ([INDEX, WHOLE], [WHOLE]),  # the index is stale
        ([INDEX, SHARDS[INDEX][0], WHOLE], [WHOLE]),
        ([INDEX, HALF], [HALF]),
        ([HALF_INDEX, HALF], [HALF]),
        ([INDEX, SHARDS[INDEX][0]], sorted(SHARDS[INDEX])),  # so that the message names what is missing
        ([], [WHOLE]),
    ],
)
def test_the_rule(names, expected):
    assert weight_files(set(names), "m", SHARDS.get) == expected


def test_a_mixture(tmp_path):
    """The UNet in fp16 shards, the autoencoder in fp16, the text encoder whole beside a stale index."""
    folder = write_checkpoint("1.x", tmp_path / "mixed")
    mix(folder)
    whole = write_checkpoint("1.x", tmp_path / "whole")
    for part in ("unet", "vae"):
        path = whole / part / WEIGHT_FILES[part]
        save_file({name: array.astype("float16") for name, array in load_file(path).items()}, path)
    expected, found = load_base(whole), load_base(folder)
    for name, model in expected.components.items():
        for ours, theirs in zip(model.weights, found.components[name].weights, strict=True):
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
