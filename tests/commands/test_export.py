"""`python -m keras_booth.export`."""

import dataclasses

import keras
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from keras_booth import export
from keras_booth.bases import StableDiffusionBase, check_export, load_base
from keras_booth.bases.networks.autoencoder import AutoencoderConfig
from keras_booth.dreambooth import DreamBooth
from keras_booth.tools.errors import InputError
from tests.helpers.booths import TOKENIZER, small_config
from tests.helpers.commands import call, files
from tests.helpers.places import VOCABULARY


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


def test_a_single_file_of_tiny_world(model, tmp_path, capsys):
    """No program could read it: its group norms have fewer groups than the layout means."""
    path = tmp_path / "dog.safetensors"
    assert export.main([str(model), "--output", str(path)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "write format='diffusers'" in said and not path.exists()


def test_single_file(tmp_path, capsys, caplog):
    """The name of the output says the format. What is no Stable Diffusion is not said to be one; a warning says it."""
    path, model = tmp_path / "dog.safetensors", tmp_path / "dog.keras"
    autoencoder = AutoencoderConfig(widths=(32, 32), encoder_blocks=1, decoder_blocks=2)
    config = dataclasses.replace(small_config(), autoencoder=autoencoder)
    DreamBooth(StableDiffusionBase(config, TOKENIZER)).save(model)
    assert export.main([str(model), "--output", str(path)]) == 0
    assert capsys.readouterr().out.strip() == str(path)
    assert "ComfyUI and AUTOMATIC1111 cannot open what is written: the base 'small'" in caplog.text
    with safe_open(path, "numpy") as file:
        found = file.metadata()
    assert found["modelspec.title"] == found["modelspec.trigger_phrase"] == "sks dog"
    assert "stable-diffusion" not in " ".join(found.values())
    trained, again = keras.saving.load_model(model), load_base(path, vocabulary=VOCABULARY, image_size=16)
    for ours, theirs in zip(trained.unet.weights, again.unet.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.large
def test_a_model_goes_on_from_an_export(exported, workplace):
    """The exported folder is a base to train."""
    from tests.helpers.commands import flags

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
        (["photos/0.png", "--output", "dog.ckpt"], ".ckpt files are pickled, and are not written here"),
        (["photos/0.png", "--output", "dog.PT", "--format", "safetensors"], ".pt files are pickled"),
        (["photos/0.png", "--output", "dog.bin", "--format", "lora"], ".bin files are pickled"),
        (["photos/0.png", "--output", "dog.zip"], ".zip is the ending of a file"),
        (["photos/0.png", "--output", "dog.keras"], ".keras is the ending of a file"),
        (["photos/0.png", "--output", "dog.safetensors", "--format", "diffusers"], "is the ending of a file"),
        (["photos/0.png", "--output", "dog", "--format", "lora"], "must end in '.safetensors'"),
        (["photos/0.png", "--output", "dog", "--layout", "kohya"], "--layout is for --format lora"),
        (["photos/0.png", "--output", "dog.safetensors", "--format", "lora", "--layout", "a1111"], "--layout"),
    ],
)
def test_mistakes(refuses, arguments, sentence):
    assert sentence in refuses(export.main, arguments)


def test_names_of_folders_with_a_dot(tmp_path):
    """What is no ending of a file is a part of a folder's name."""
    for name in ("dog-v1.5", "dog.v2", "dog.final", "runs.2024-05-01"):
        check_export(tmp_path / name, "diffusers", "float32")


def test_links(tmp_path):
    """What takes the place of a folder cannot take that of a link, nor of the folder in which one stands."""
    (tmp_path / "real").mkdir()
    for name, target in (("lost", "nowhere"), ("linked", "real")):
        (tmp_path / name).symlink_to(target)
        with pytest.raises(InputError, match="this is a link"):
            check_export(tmp_path / name, "diffusers", "float32")


def test_where_one_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="where the command stands"):
        check_export(".", "diffusers", "float32")
