"""The one interface of a base."""

import json

import keras
import numpy as np
import pytest

from keras_booth.bases import BaseConfig, StableDiffusionBase, shape_of
from keras_booth.bases.tiny_world import tiny_world_config, tiny_xl_config
from tests.helpers.arrays import array, normal
from tests.helpers.booths import small_config


@pytest.fixture(scope="module")
def base():
    return StableDiffusionBase(small_config())


class TestBase:
    def test_encode(self, base):
        pictures, noise = np.tanh(normal(2, 16, 16, 3)), normal(2, 8, 8, 4, seed=1)
        mean, log_variance = np.split(array(base.image_encoder(pictures)), 2, axis=-1)
        np.testing.assert_allclose(array(base.encode(pictures)), 0.18215 * mean, rtol=1e-5)
        sampled = 0.18215 * (mean + np.exp(log_variance / 2) * noise)
        np.testing.assert_allclose(array(base.encode(pictures, noise)), sampled, rtol=1e-4, atol=1e-6)

    def test_decoded_pictures_stay_in_range(self, base):
        pictures = array(base.decode(100.0 * normal(2, 8, 8, 4)))
        assert pictures.shape == (2, 16, 16, 3)
        assert pictures.min() == -1.0 and pictures.max() == 1.0

    def test_decode_divides_by_the_scale(self, base):
        latents = normal(1, 8, 8, 4)
        np.testing.assert_allclose(
            array(base.decode(latents * 0.18215)), np.clip(array(base.decoder(latents)), -1, 1), atol=1e-5
        )

    @pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
    def test_only_the_autoencoder_is_always_float32(self, policy):
        mixed = StableDiffusionBase(small_config(), dtype=policy)
        half = policy.removeprefix("mixed_")
        tokens, pictures = np.zeros((1, 12), "int32"), np.zeros((1, 16, 16, 3), "float32")
        context = mixed.text_encoder(tokens)
        noise = mixed.unet([normal(1, 8, 8, 4), np.array([5], "int32"), array(context)])
        outputs = [context, noise, mixed.image_encoder(pictures), mixed.decode(mixed.encode(pictures))]
        dtypes = [keras.backend.standardize_dtype(output.dtype) for output in outputs]
        assert dtypes == [half, half, "float32", "float32"]
        assert keras.config.dtype_policy().name == "float32"  # the global policy is as it was

    def test_config_round_trip(self):
        config = tiny_world_config(vocabulary_size=1211).with_image_size((64, 96))
        assert BaseConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize("config", [tiny_world_config, tiny_xl_config])
def test_all_layers_are_built(config):
    """Of a model with one that is not, Keras's `predict` computes the first batch op by op on JAX."""
    for model in shape_of(config(300)).components.values():
        assert [layer.name for layer in model._flatten_layers() if not layer.built] == []
