import hashlib

import keras
import numpy as np
import pytest

from keras_booth.bases import PRESETS, load_base
from keras_booth.bases.kerascv import _fetch
from keras_booth.bases.tiny_world.config import VOCABULARY, WEIGHTS

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


class TestTinyWorld:
    def test_sizes(self, base):
        assert base.config.image_size == (64, 64)
        assert base.latent_shape == (16, 16, 4)
        assert base.config.text_encoder.vocabulary_size == base.tokenizer.vocabulary_size
        parameters = sum(model.count_params() for model in base.components.values())
        assert parameters * 2 < 40e6  # bytes in float16, the limit for package data

    def test_a_picture_there_and_back(self, base):
        pictures = np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 3)).astype("float32")
        latents = base.encode(pictures)
        assert latents.shape == (2, *base.latent_shape)
        assert base.decode(latents).shape == (2, 64, 64, 3)

    def test_the_seed_fixes_random_weights(self, base):
        again, other = (load_base("tiny_world", weights=None, seed=seed) for seed in (7, 8))
        equal = [
            [np.array_equal(mine, theirs) for mine, theirs in zip(base.unet.weights, model.unet.weights, strict=True)]
            for model in (again, other)
        ]
        assert all(equal[0]) and not all(equal[1])

    def test_other_sizes(self):
        base = load_base("tiny_world", weights=None, image_size=(32, 48))
        assert base.config.image_size == (32, 48) and base.latent_shape == (8, 12, 4)
        assert base.unet.input_shape[0] == (None, 8, 12, 4)

    def test_precision(self):
        base = load_base("tiny_world", weights=None, image_size=16, dtype="mixed_bfloat16")
        policies = {name: model.layers[-1].dtype_policy.name for name, model in base.components.items()}
        assert policies == {
            "text_encoder": "mixed_bfloat16",
            "unet": "mixed_bfloat16",
            "image_encoder": "float32",
            "decoder": "float32",
        }
        assert keras.config.dtype_policy().name == "float32"

    def test_a_vocabulary_of_ones_own(self, tmp_path, base):
        path = tmp_path / "vocabulary.gz"
        path.write_bytes(VOCABULARY.read_bytes())
        other = load_base("tiny_world", weights=None, image_size=16, vocabulary=path)
        np.testing.assert_array_equal(other.tokenizer(["a dog"]), base.tokenizer(["a dog"]))

    @pytest.mark.skipif(not WEIGHTS.exists(), reason="the package's weights have not been trained yet")
    def test_the_weights_that_ship(self, base):
        trained = load_base("tiny_world")
        assert WEIGHTS.stat().st_size < 40e6
        for name, model in trained.components.items():
            for variable in model.weights:
                assert np.isfinite(variable.numpy()).all(), (name, variable.path)
        again = load_base("tiny_world")
        for mine, theirs in zip(trained.unet.weights, again.unet.weights, strict=True):
            np.testing.assert_array_equal(mine, theirs)
        latents = np.array(trained.encode(np.random.default_rng(0).uniform(-1, 1, (4, 64, 64, 3)).astype("float32")))
        assert np.abs(latents).max() < 20


class TestRefusals:
    def test_unknown_preset(self):
        sentence = refusal("stable_diffusion_3")
        assert sentence.endswith("Received: preset='stable_diffusion_3'")
        assert all(name in sentence for name in PRESETS)

    def test_unknown_weights(self):
        assert refusal("tiny_world", weights="imagenet").endswith("Received: weights='imagenet'")

    @pytest.mark.parametrize(
        "image_size, received",
        [(60, "(60, 60)"), ((64, 40), "(64, 40)"), (0, "(0, 0)"), ((64, 64, 64), "(64, 64, 64)")],
    )
    def test_image_sizes(self, image_size, received):
        sentence = refusal("tiny_world", weights=None, image_size=image_size)
        assert "multiples of 16 pixels" in sentence
        assert sentence.endswith(f"Received: image_size={received}")

    def test_stable_diffusion_needs_multiples_of_64(self, tmp_path):
        vocabulary = tmp_path / "vocabulary.gz"
        vocabulary.write_bytes(VOCABULARY.read_bytes())
        sentence = refusal("stable_diffusion_1.4", weights=None, image_size=96, vocabulary=vocabulary)
        assert "multiples of 64 pixels" in sentence
        assert sentence.endswith("Received: image_size=(96, 96)")

    def test_missing_vocabulary(self, tmp_path):
        path = tmp_path / "absent.gz"
        assert refusal("tiny_world", weights=None, vocabulary=path).endswith(f"Received: vocabulary={path}")

    @pytest.mark.skipif(WEIGHTS.exists(), reason="the package's weights are there")
    def test_missing_weights(self):
        assert refusal("tiny_world").endswith(f"Received: {WEIGHTS}")


def test_what_cannot_be_fetched_is_refused():
    digest = hashlib.sha256(b"").hexdigest()
    with pytest.raises(ValueError, match=f"connect to the network.* Received: {REFUSED}weights.h5") as raised:
        _fetch("keras_booth_test_absent.h5", REFUSED + "weights.h5", digest)
    assert "\n" not in str(raised.value)
