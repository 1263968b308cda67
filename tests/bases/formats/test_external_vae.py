"""Another autoencoder in every shape in which vae-ft-mse is passed around: the numbers are exact."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from keras_booth.bases import describe_base, export_base, load_base
from keras_booth.bases.formats.external_vae import read_vae
from keras_booth.dreambooth import DreamBooth
from keras_booth.dreambooth.prior.drawing import drawing_variables
from tests.helpers.checkpoints.families import write_checkpoint
from tests.helpers.places import VOCABULARY

NAME = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A checkpoint whose autoencoder is the one that is wanted: no other has its numbers, nor its scale."""
    folder = write_checkpoint("2.x", tmp_path_factory.mktemp("source") / "other")
    tensors = load_file(folder / "vae" / NAME)
    save_file({name: array + np.float32(0.25) for name, array in tensors.items()}, folder / "vae" / NAME)
    config = json.loads((folder / "vae" / "config.json").read_text())
    (folder / "vae" / "config.json").write_text(json.dumps(config | {"scaling_factor": 0.5}))
    return folder


@pytest.fixture(scope="module")
def wanted(source):
    return load_base(source)


@pytest.fixture(scope="module")
def places(source, wanted, tmp_path_factory):
    """The autoencoder of `wanted`, dict of paths by what they are."""
    root = tmp_path_factory.mktemp("vae")
    whole = load_file(export_base(wanted, root / "whole.safetensors", format="safetensors"))
    prefixed = {name: array for name, array in whole.items() if name.startswith("first_stage_model.")}
    bare = {name.removeprefix("first_stage_model."): array for name, array in prefixed.items()}
    diffusers = load_file(source / "vae" / NAME)
    old = {}
    for name, array in diffusers.items():
        for new, before in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
            name = name.replace(f"attentions.0.{new}.", f"attentions.0.{before}.")
        old[name] = array
    extra = {"loss.logvar": np.zeros(1, "float32"), "model_ema.decay": np.zeros(1, "float32")}
    files = {"prefixed": prefixed, "bare": bare | extra, "diffusers": diffusers, "old": old}
    for name, tensors in files.items():
        save_file(tensors, root / f"{name}.safetensors")
    shutil.copytree(source / "vae", root / "folder")
    found = {name: root / f"{name}.safetensors" for name in ("whole", *files)}
    return found | {"folder": root / "folder", "folder of a checkpoint": source}


def assert_same_autoencoder(one, two):
    for name in ("image_encoder", "decoder"):
        for ours, theirs in zip(one.components[name].weights, two.components[name].weights, strict=True):
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.fixture(scope="module")
def target(source):
    return load_base(source, weights=None)


@pytest.mark.parametrize("place", ["whole", "prefixed", "bare", "diffusers", "old", "folder", "folder of a checkpoint"])
def test_shapes(places, wanted, target, place):
    vae = read_vae(places[place])
    assert vae.config == wanted.config.autoencoder
    assert vae.latent_scale == (0.5 if "folder" in place else None)
    for variable in (*target.image_encoder.weights, *target.decoder.weights):
        variable.assign(np.full(variable.shape, 7.0))
    vae.load(target)
    assert_same_autoencoder(target, wanted)


def test_a_checkpoint_without_its_own(places, wanted, folder, base, tmp_path):
    """Single files often have none; UNet and text encoder are those of the checkpoint, and so is the schedule."""
    tensors = load_file(export_base(base, tmp_path / "whole.safetensors", format="safetensors"))
    path = tmp_path / "pruned.safetensors"
    save_file({name: a for name, a in tensors.items() if not name.startswith("first_stage_model.")}, path)
    found = load_base(path, vae=places["folder"], vocabulary=VOCABULARY, image_size=16)
    assert found.config.latent_scale == 0.5
    assert_same_autoencoder(found, wanted)
    for name in ("unet", "text_encoder"):
        for ours, theirs in zip(base.components[name].weights, found.components[name].weights, strict=True):
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    copy = shutil.copytree(folder, tmp_path / "copy")
    shutil.rmtree(copy / "vae")
    config, _ = describe_base(copy, vae=places["bare"])
    assert config.autoencoder == wanted.config.autoencoder
    assert config.latent_scale == base.config.latent_scale


def test_in_a_model(places, wanted, tmp_path):
    """It is drawn with, saved, and part of what class images depend on."""
    folder = write_checkpoint("1.x", tmp_path / "checkpoint")
    booth = DreamBooth.from_preset(str(folder), vae=str(places["prefixed"]))
    assert_same_autoencoder(booth.base, wanted)
    assert booth.base.config.latent_scale == 0.18215
    watched = {id(variable) for variable in drawing_variables(booth)}
    assert watched.issuperset(id(variable) for variable in booth.decoder.weights)
    booth.save(tmp_path / "dog.keras")
    again = load_base(tmp_path / "dog.keras")
    assert_same_autoencoder(again, wanted)


def test_one_that_is_made_for_half_precision(tmp_path):
    """A folder like that of sdxl-vae-fp16-fix: its numbers and its scale, in float32 whatever the base is in."""
    base = write_checkpoint("xl", tmp_path / "base")
    shutil.copytree(base / "vae", tmp_path / "fixed")
    half = {name: (array * 0.5).astype("float16") for name, array in load_file(base / "vae" / NAME).items()}
    save_file(half, tmp_path / "fixed" / NAME)
    config = json.loads((base / "vae" / "config.json").read_text())
    (tmp_path / "fixed" / "config.json").write_text(
        json.dumps(config | {"force_upcast": False, "scaling_factor": 0.25})
    )
    found = load_base(base, vae=tmp_path / "fixed", dtype="bfloat16")
    assert found.config.latent_scale == 0.25
    kernel = half["decoder.conv_out.weight"].transpose(2, 3, 1, 0).astype("float32")
    ours = [array.numpy() for array in found.decoder.weights if tuple(array.shape) == kernel.shape]
    assert any(np.array_equal(array, kernel) for array in ours)
    assert {str(array.dtype) for part in (found.image_encoder, found.decoder) for array in part.weights} == {"float32"}
    assert found.decoder.compute_dtype == "float32"


class TestRefusals:
    def refusal(self, preset, vae):
        with pytest.raises(ValueError) as error:
            describe_base(preset, vae=vae)
        assert "\n" not in str(error.value)
        return str(error.value)

    def test_other_latents(self, places, source, tmp_path):
        copy = shutil.copytree(places["folder"], tmp_path / "copy")
        config = json.loads((copy / "config.json").read_text())
        (copy / "config.json").write_text(json.dumps(config | {"latent_channels": 16}))
        text = self.refusal(source, copy)
        assert "4 latent channels" in text and "latent_channels=16" in text

    def test_another_kind(self, source, tmp_path):
        path = tmp_path / "taesd.safetensors"
        save_file({"encoder.layers.0.weight": np.zeros((4, 4), "float32")}, path)
        assert "no autoencoder" in self.refusal(source, path)
        assert "pickled" in self.refusal(source, tmp_path / "vae-ft-mse-840000-ema-pruned.vae.pt")
        assert f"Received: vae={tmp_path / 'absent'}" in self.refusal(source, tmp_path / "absent")

    def test_sizes_of_a_preset(self, places):
        assert "sizes of the one in preset='tiny_world'" in self.refusal("tiny_world", places["folder"])
