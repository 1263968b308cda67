"""At Stable Diffusion's size the networks have KerasCV's weights, and compute what they compute."""

import json
import subprocess
import sys

import h5py
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format
from keras_cv.models import stable_diffusion as kerascv

from keras_booth.bases.networks.autoencoder import AutoencoderConfig, build_decoder, build_image_encoder
from keras_booth.bases.networks.text_encoder import TextEncoderConfig, build_text_encoder
from keras_booth.bases.networks.unet import TimestepFeatures, UNetConfig, build_unet
from tests.helpers.arrays import array, normal
from tests.helpers.kerascv import train_epsilon
from tests.helpers.places import ROOT

PARAMETERS = {"text_encoder": 123_060_480, "unet": 859_520_964, "image_encoder": 34_163_664, "decoder": 49_490_199}


@pytest.fixture(scope="module")
def full_size_shapes():
    """dict of (KerasCV's, ours) by component: the name and shape of every weight."""
    line = [sys.executable, "-m", "tests.helpers.processes.full_size_shapes"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.large
@pytest.mark.parametrize("component", PARAMETERS)
def test_full_size_has_the_weights_of_kerascv(full_size_shapes, component):
    theirs, mine = full_size_shapes[component]
    assert mine == theirs
    assert sum(int(np.prod(shape)) for _, shape in mine) == PARAMETERS[component]


@pytest.mark.huge
class TestFullSize:
    """KerasCV's own classes, one at a time: at most two copies of the UNet, about 8 GB."""

    def write_and_release(self, model, inputs, path):
        """Write the legacy `.h5` format of the files that KerasCV publishes; return what the model answers."""
        for seed, variable in enumerate(model.weights):
            if variable.name in ("bias", "beta", "gamma"):
                variable.assign(variable + 0.1 * normal(*variable.shape, seed=seed))
        with h5py.File(path, "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file, model)
        return array(model(inputs))

    def check(self, mine, inputs, path, expected, tolerance):
        mine.load_weights(path)
        error = np.abs(array(mine(inputs))[..., : expected.shape[-1]] - expected)
        assert error.max() < tolerance * np.abs(expected).max()

    def test_unet(self, tmp_path):
        latents, context = normal(1, 8, 8, 4), normal(1, 77, 768)
        features = array(TimestepFeatures(320)(np.array([437])))
        path = tmp_path / "unet.h5"
        original = kerascv.DiffusionModel(64, 64, 77, download_weights=False)
        expected = self.write_and_release(original, [latents, features, context], path)
        del original
        mine = build_unet(UNetConfig(), (8, 8), 77)
        # What is left is the correction: exact GELU and the epsilon of the spatial transformers.
        self.check(mine, [latents, np.array([437], "int32"), context], path, expected, tolerance=5e-3)

    def test_text_encoder(self, tmp_path):
        tokens, path = np.random.default_rng(0).integers(0, 49408, (2, 77), "int32"), tmp_path / "text_encoder.h5"
        original = kerascv.TextEncoder(77, download_weights=False)
        expected = self.write_and_release(original, [tokens, np.arange(77)[None].repeat(2, 0)], path)
        del original
        self.check(build_text_encoder(TextEncoderConfig()), tokens, path, expected, tolerance=1e-4)

    def test_image_encoder(self, tmp_path):
        pictures, path = np.tanh(normal(1, 64, 64, 3)), tmp_path / "image_encoder.h5"
        original = kerascv.ImageEncoder(download_weights=False)
        train_epsilon(original)
        expected = self.write_and_release(original, pictures, path) / 0.18215
        del original
        self.check(build_image_encoder(AutoencoderConfig()), pictures, path, expected, tolerance=1e-3)

    def test_decoder(self, tmp_path):
        latents, path = normal(1, 8, 8, 4), tmp_path / "decoder.h5"
        original = kerascv.Decoder(64, 64, download_weights=False)
        train_epsilon(original)
        expected = self.write_and_release(original, latents * 0.18215, path)
        del original
        self.check(build_decoder(AutoencoderConfig()), latents, path, expected, tolerance=1e-3)
