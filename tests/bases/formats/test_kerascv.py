"""Legacy `.h5` files as KerasCV wrote them, with Keras's own legacy writer, load and compute the same."""

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format
from keras_cv.src.models.stable_diffusion.decoder import Decoder
from keras_cv.src.models.stable_diffusion.diffusion_model import DiffusionModelV2
from keras_cv.src.models.stable_diffusion.image_encoder import ImageEncoder
from keras_cv.src.models.stable_diffusion.text_encoder import TextEncoderV2

from keras_booth.bases import load_base
from keras_booth.bases.networks.autoencoder import AutoencoderConfig, build_decoder, build_image_encoder
from tests.helpers.places import SHARED


def write_legacy(model, path):
    """Write weights in the format of Keras 2's `save_weights("….h5")`."""
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    return path


def randomize(model):
    """Draw every weight at random, norms and biases included."""
    rng = np.random.default_rng(0)
    for variable in model.weights:
        noise = rng.standard_normal(variable.shape).astype("float32")
        fan = max(np.prod(variable.shape[:-1]), 1)
        variable.assign(1 + 0.2 * noise if "gamma" in variable.path else noise / np.sqrt(fan))


def error(ours, theirs):
    ours, theirs = (keras.ops.convert_to_numpy(array) for array in (ours, theirs))
    return np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)


@pytest.mark.large
def test_decoder(tmp_path):
    original = Decoder(64, 64, download_weights=False)
    randomize(original)
    decoder = build_decoder(AutoencoderConfig())
    decoder.load_weights(write_legacy(original, tmp_path / "kcv_decoder.h5"))
    latents = np.random.default_rng(1).standard_normal((1, 8, 8, 4)).astype("float32")
    # KerasCV's decoder undoes the latent scale itself, and its group norms differ by an epsilon of 1e-5.
    assert error(decoder(latents / 0.18215), original(latents)) < 1e-3


@pytest.mark.floor
def test_image_encoder(tmp_path):
    original = ImageEncoder(download_weights=False)
    randomize(original)
    encoder = build_image_encoder(AutoencoderConfig())
    encoder.load_weights(write_legacy(original, tmp_path / "vae_encoder.h5"))
    pictures = np.random.default_rng(1).uniform(-1, 1, (1, 64, 64, 3)).astype("float32")
    assert error(encoder(pictures)[..., :4] * 0.18215, original(pictures)) < 1e-3


@pytest.mark.large
def test_stable_diffusion_2_1(tmp_path):
    """KerasCV's UNet and text encoder of 2.1 at full size."""
    vocabulary = SHARED / "data" / "clip" / "bpe_simple_vocab_16e6.txt.gz"
    if not vocabulary.is_file():
        pytest.skip("../shared/data/clip is not there")
    base = load_base("stable_diffusion_2.1", weights=None, image_size=128, vocabulary=vocabulary)
    assert base.unet.count_params() == 865_910_724
    text_encoder = TextEncoderV2(77, download_weights=False)
    randomize(text_encoder)
    base.text_encoder.load_weights(write_legacy(text_encoder, tmp_path / "text.h5"))
    tokens = base.tokenizer(["a photo of a dog"])
    theirs = text_encoder([tokens, np.arange(77, dtype="int32")[None]])
    assert error(base.text_encoder(tokens), theirs) < 1e-3
    del text_encoder
    unet = DiffusionModelV2(128, 128, 77, download_weights=False)
    path = write_legacy(unet, tmp_path / "unet.h5")
    del unet
    base.unet.load_weights(path)
