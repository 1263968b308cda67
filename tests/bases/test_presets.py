import gzip
import hashlib

import keras
import numpy as np
import pytest

from keras_booth.bases import (
    PRESETS,
    StableDiffusionBase,
    config_at_hand,
    describe_base,
    export_base,
    load_base,
    loaded_later,
)
from keras_booth.bases.formats.kerascv import _fetch
from keras_booth.bases.tiny_world import VOCABULARY, WEIGHTS
from keras_booth.tiny_world.scenes import random_scene, render
from tests.helpers.arrays import array
from tests.helpers.booths import full_size_config
from tests.helpers.checkpoints.families import FAMILIES, write_checkpoint

REFUSED = "http://127.0.0.1:1/"  # nobody listens there


@pytest.fixture(scope="module")
def base():
    return load_base("tiny_world", weights=None, seed=7)


def refusal(*args, **kwargs):
    """The sentence with which `load_base` refuses."""
    with pytest.raises(ValueError) as raised:
        load_base(*args, **kwargs)
    sentence = str(raised.value)
    assert "\n" not in sentence
    return sentence


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """The same preset with every option."""
    vocabulary = tmp_path_factory.mktemp("vocabulary") / "vocabulary.gz"
    vocabulary.write_bytes(gzip.compress(b"#version: test\nd o\ndo g</w>", mtime=0))
    return load_base(
        "tiny_world", weights=None, image_size=(32, 64), dtype="mixed_bfloat16", vocabulary=vocabulary, seed=8
    )


class TestTinyWorld:
    def test_sizes(self, base):
        config = base.config
        assert config.image_size == (128, 128)
        assert base.latent_shape == (16, 16, config.autoencoder.latent_channels)
        assert config.unet.latent_channels == config.autoencoder.latent_channels
        assert config.text_encoder.vocabulary_size == base.tokenizer.vocabulary_size
        assert config.text_encoder.max_length == base.tokenizer.max_length
        parameters = sum(model.count_params() for model in base.components.values())
        assert parameters * 2 < 60e6  # bytes in float16, the limit for package data

    def test_a_picture_there_and_back(self, base):
        pictures = np.random.default_rng(0).uniform(-1, 1, (2, 128, 128, 3)).astype("float32")
        latents = base.encode(pictures)
        assert latents.shape == (2, *base.latent_shape)
        assert base.decode(latents).shape == (2, 128, 128, 3)

    def test_the_seed_fixes_random_weights(self, base, other):
        again = load_base("tiny_world", weights=None, seed=7)
        kernels = [model.unet.weights[0].numpy() for model in (base, again, other)]
        np.testing.assert_array_equal(kernels[0], kernels[1])
        assert not np.array_equal(kernels[0], kernels[2])

    def test_another_image_size(self, other):
        assert other.config.image_size == (32, 64)
        assert other.latent_shape[:2] == (4, 8)
        assert other.unet.input_shape[0][:3] == (None, 4, 8)

    def test_precision(self, other):
        policies = {name: model.layers[-1].dtype_policy.name for name, model in other.components.items()}
        assert policies == {
            "text_encoder": "mixed_bfloat16",
            "unet": "mixed_bfloat16",
            "image_encoder": "float32",
            "decoder": "mixed_bfloat16",
        }
        assert keras.config.dtype_policy().name == "float32"

    @pytest.mark.skipif(not WEIGHTS.exists(), reason="the package's weights have not been trained yet")
    @pytest.mark.parametrize("dtype, most", [("float16", 0), ("mixed_bfloat16", 0.8), ("bfloat16", 0.8)])
    def test_pictures_of_the_decoder_in_half_precision(self, dtype, most):
        """In levels of 255 on average. Its weights are as they were."""
        wide, half = load_base("tiny_world"), load_base("tiny_world", dtype=dtype)
        assert {weight.dtype for weight in half.decoder.weights} == {"float32"}
        rng = np.random.default_rng(12345)
        pictures = np.stack([render(random_scene(rng)) for _ in range(8)]) / np.float32(127.5) - 1
        latents = wide.encode(pictures)
        found, expected = (127.5 * keras.ops.convert_to_numpy(base.decode(latents)) for base in (half, wide))
        assert found.dtype == "float32" and np.abs(found - expected).mean() <= most

    def test_a_vocabulary_of_ones_own(self, other):
        assert other.tokenizer.vocabulary_size == other.config.text_encoder.vocabulary_size == 516
        assert other.tokenizer.pieces("dog") == [513]

    @pytest.mark.skipif(not WEIGHTS.exists(), reason="the package's weights have not been trained yet")
    def test_the_weights_that_ship(self, base):
        trained = load_base("tiny_world")
        assert WEIGHTS.stat().st_size < 60e6
        for name, model in trained.components.items():
            for variable in model.weights:
                assert np.isfinite(variable.numpy()).all(), (name, variable.path)
        assert not np.array_equal(trained.unet.weights[0], base.unet.weights[0])
        rng = np.random.default_rng(12345)
        pictures = np.stack([render(random_scene(rng)) for _ in range(16)]) / np.float32(127.5) - 1
        latents = trained.encode(pictures)
        # About the spread that diffusion expects, and sharp pictures on the way back.
        assert 0.5 < keras.ops.convert_to_numpy(latents).std() < 2
        error = np.square(keras.ops.convert_to_numpy(trained.decode(latents)) - pictures).mean()
        assert 10 * np.log10(4 / error) > 30


class TestRefusals:
    def test_unknown_preset(self):
        sentence = refusal("stable_diffusion_3")
        assert sentence.endswith("Received: preset='stable_diffusion_3'")
        assert all(name in sentence for name in PRESETS)

    def test_unknown_weights(self):
        assert refusal("tiny_world", weights="imagenet").endswith("Received: weights='imagenet'")

    @pytest.mark.parametrize(
        "image_size, received",
        [(60, "(60, 60)"), ((64, 48), "(64, 48)"), (0, "(0, 0)"), ((64, 64, 64), "(64, 64, 64)")],
    )
    def test_image_sizes(self, image_size, received):
        sentence = refusal("tiny_world", weights=None, image_size=image_size)
        assert "multiples of 32 pixels" in sentence
        assert sentence.endswith(f"Received: image_size={received}")

    def test_stable_diffusion_needs_multiples_of_64(self):
        with pytest.raises(ValueError, match="multiples of 64 pixels.* Received: image_size=\\(96, 96\\)$"):
            full_size_config(1, image_size=96)

    def test_a_vocabulary_of_another_model(self, tmp_path):
        vocabulary = tmp_path / "vocabulary.gz"
        vocabulary.write_bytes(VOCABULARY.read_bytes())
        sentence = refusal("stable_diffusion_1.4", weights=None, vocabulary=vocabulary)
        assert "has 1251 tokens, and the text encoder embeddings of 49408" in sentence
        assert sentence.endswith(f"Received: {vocabulary}")

    def test_missing_vocabulary(self, tmp_path):
        path = tmp_path / "absent.gz"
        assert refusal("tiny_world", weights=None, vocabulary=path).endswith(f"Received: vocabulary={path}")


def test_what_cannot_be_fetched_is_refused():
    digest = hashlib.sha256(b"").hexdigest()
    with pytest.raises(ValueError, match=f"connect to the network.* Received: {REFUSED}weights.h5") as raised:
        _fetch("keras_booth_test_absent.h5", REFUSED + "weights.h5", digest)
    assert "\n" not in str(raised.value)


def test_zero_terminal_snr():
    config, _ = describe_base("tiny_world", zero_terminal_snr=True)
    assert config.schedule.alphas_cumprod[-1] == 0
    assert config.schedule.sampling_timesteps(5)[0] == config.schedule.steps - 1
    with pytest.raises(ValueError, match="v_prediction"):
        describe_base("tiny_world", prediction_type="epsilon", zero_terminal_snr=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_sizes_without_a_download(family, tmp_path):
    """Of a folder, and of a single file, which has no vocabulary."""
    folder = write_checkpoint(family, tmp_path / "base")
    wanted, base = describe_base(folder)[0], load_base(folder)
    file = export_base(base, tmp_path / "base.safetensors", format="safetensors")
    for place in (folder, file):
        found = config_at_hand(place, image_size=[64, 64])
        assert (found.unet, found.autoencoder, found.image_size) == (wanted.unet, wanted.autoencoder, (64, 64))
    assert config_at_hand("hf://someone/else") is None


def test_what_is_loaded_later_is_made_without_random_numbers(base):
    """Kernels, until the weights are there; a base without weights has random ones."""

    def empty(base):
        return [path for part in base.components.values() for path, v in kernels(part) if not np.any(v)]

    def kernels(part):
        return [(variable.path, array(variable)) for variable in part.weights if variable.path.endswith("kernel")]

    assert empty(base) == [] == empty(load_base("tiny_world"))
    with loaded_later():
        made = StableDiffusionBase(base.config)
    assert len(empty(made)) > 0.9 * sum(len(kernels(part)) for part in made.components.values())
    assert empty(StableDiffusionBase(base.config)) == []
