"""The text encoder against KerasCV's own."""

import numpy as np
import pytest
from keras_cv.models import stable_diffusion as kerascv

from keras_booth.bases.networks.text_encoder import TextEncoderConfig, build_text_encoder
from tests.helpers.arrays import array
from tests.helpers.kerascv import copy_weights


@pytest.fixture(scope="module")
def encoder():
    return build_text_encoder(TextEncoderConfig(vocabulary_size=50, max_length=6, width=32, layers=2, heads=2))


class TestTextEncoder:
    def test_equals_kerascv(self):
        """Against KerasCV's own class, whose width and depth are fixed, on a small vocabulary."""
        original = kerascv.TextEncoder(8, vocab_size=50, download_weights=False)
        mine = build_text_encoder(TextEncoderConfig(vocabulary_size=50, max_length=8))
        copy_weights(original, mine)
        tokens = np.random.default_rng(0).integers(0, 50, (2, 8), "int32")
        expected = array(original([tokens, np.arange(8)[None].repeat(2, 0)]))
        np.testing.assert_allclose(array(mine(tokens)), expected, atol=1e-4)

    def test_is_causal(self, encoder):
        tokens = np.array([[1, 2, 3, 4, 5, 6]], "int32")
        changed = np.array([[1, 2, 3, 9, 5, 6]], "int32")
        difference = np.abs(array(encoder(tokens)) - array(encoder(changed)))[0].max(axis=-1)
        assert (difference[:3] == 0).all() and (difference[3:] > 1e-4).all()

    def test_order_of_tokens_matters(self, encoder):
        one, other = (
            array(encoder(np.array([tokens], "int32")))[0, -1] for tokens in ([1, 2, 3, 4, 5, 6], [2, 1, 3, 4, 5, 6])
        )
        assert np.abs(one - other).max() > 1e-4

    def test_activation(self, encoder):
        config = TextEncoderConfig(vocabulary_size=50, max_length=6, width=32, layers=2, heads=2, activation="gelu")
        other = build_text_encoder(config)
        copy_weights(encoder, other)
        tokens = np.array([[1, 2, 3, 4, 5, 6]], "int32")
        assert 1e-4 < np.abs(array(other(tokens)) - array(encoder(tokens))).max() < 1
