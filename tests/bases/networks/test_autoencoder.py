"""Image encoder and decoder against KerasCV's own."""

import keras
import numpy as np
import pytest
from keras_cv.models import stable_diffusion as kerascv

from keras_booth.bases.networks.autoencoder import AutoencoderConfig, build_decoder, build_image_encoder
from tests.helpers.arrays import array, normal
from tests.helpers.kerascv import copy_weights, train_epsilon


class TestAutoencoder:
    def test_moments_are_unscaled(self):
        """KerasCV's encoder ends in the mean, scaled; the layer before it holds the moments."""
        original = kerascv.ImageEncoder(download_weights=False)
        train_epsilon(original)
        mine = build_image_encoder(AutoencoderConfig())
        copy_weights(original, mine)
        pictures = np.tanh(normal(1, 16, 24, 3))
        moments = array(mine(pictures))
        assert moments.shape == (1, 2, 3, 8)
        before = keras.Model(original.inputs[0], original.layers[-2].output)
        np.testing.assert_allclose(moments, array(before(pictures)), atol=1e-4)
        np.testing.assert_allclose(moments[..., :4] * 0.18215, array(original(pictures)), atol=1e-4)

    def test_decoder_equals_kerascv(self):
        """KerasCV's decoder takes scaled latents and divides them itself."""
        original = kerascv.Decoder(16, 16, download_weights=False)
        train_epsilon(original)
        mine = build_decoder(AutoencoderConfig())
        copy_weights(original, mine)
        latents = normal(1, 2, 2, 4)
        np.testing.assert_allclose(array(mine(latents)), array(original(latents * 0.18215)), atol=1e-3)

    @pytest.mark.parametrize("widths, factor", [((32,), 1), ((32, 32), 2), ((32, 64, 32), 4)])
    def test_factor(self, widths, factor):
        config = AutoencoderConfig(latent_channels=3, widths=widths, encoder_blocks=1, decoder_blocks=1)
        assert config.factor == factor
        assert build_image_encoder(config)(normal(2, 16, 8, 3)).shape == (2, 16 // factor, 8 // factor, 6)
        assert build_decoder(config)(normal(2, 4, 3, 3)).shape == (2, 4 * factor, 3 * factor, 3)
