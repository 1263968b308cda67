"""`python -m keras_booth.export`."""

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file

from keras_booth import export
from keras_booth.bases import load_base
from keras_booth.bases.tiny_world.config import VOCABULARY
from tests.commands.helpers import call, files


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """The command, done once."""
    return call(tmp_path_factory.mktemp("exported"), "export", model, "--output", "dog", "--dtype", "float16")


def test_folder(exported, model):
    assert exported.code == 0, exported.err
    assert exported.out.strip() == "dog"
    weights = [name for name in files(exported.folder) if name.endswith(".safetensors")]
    assert len(weights) == 3
    tensor = load_file(exported.folder / "dog" / "unet" / "diffusion_pytorch_model.safetensors")["conv_in.bias"]
    assert tensor.dtype == np.float16
    trained, again = keras.saving.load_model(model), load_base(exported.folder / "dog")
    for ours, theirs in zip(trained.unet.weights, again.unet.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy().astype("float16"), theirs.numpy().astype("float16"))


def test_single_file(model, tmp_path, capsys):
    """The name of the output says the format."""
    path = tmp_path / "dog.safetensors"
    assert export.main([str(model), "--output", str(path)]) == 0
    assert capsys.readouterr().out.strip() == str(path)
    trained, again = keras.saving.load_model(model), load_base(path, vocabulary=VOCABULARY)
    for ours, theirs in zip(trained.unet.weights, again.unet.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_a_model_goes_on_from_an_export(exported, workplace):
    """The exported folder is a base to train."""
    from tests.commands.helpers import flags

    options = flags(base__preset=exported.folder / "dog", base__weights="pretrained", training__steps="1")
    done = call(workplace, "train", *options)
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["none.keras", "--output", "out"], "none.keras"),
        (["photos/0.png", "--output", "out"], "photos/0.png"),
        (["photos/0.png", "--output", "photos"], "not empty"),
        (["photos/0.png", "--output", "photos/1.png"], "must be a folder"),
        (["photos/0.png", "--output", "out", "--format", "safetensors"], "must end in '.safetensors'"),
        (["photos/0.png", "--output", "out", "--format", "ckpt"], "--format"),
        (["photos/0.png", "--output", "out", "--dtype", "int8"], "--dtype"),
        (["photos/0.png"], "--output"),
    ],
)
def test_mistakes(refuses, arguments, sentence):
    assert sentence in refuses(export.main, arguments)
