"""What the base is pretrained on: which timesteps, and which words."""

import keras
import numpy as np
import pytest

from keras_booth.tiny_world.training import DenoiserTraining, middling_timesteps, words_so_far
from tests.helpers.booths import small_booth


def draw(seed, size=32):
    return keras.ops.convert_to_numpy(middling_timesteps(size, 1000, keras.random.SeedGenerator(seed)))


def test_follow_beta_2_2():
    """The share below t is 3 u^2 - 2 u^3 with u = t / 1000."""
    timesteps = np.concatenate([draw(seed) for seed in range(200)])
    assert timesteps.min() >= 0 and timesteps.max() < 1000
    for place in (0.1, 0.3, 0.5, 0.8):
        expected = 3 * place**2 - 2 * place**3
        assert abs(np.mean(timesteps < 1000 * place) - expected) < 0.01


def test_each_batch_is_spread_evenly():
    """Neighbors are a 32nd of the quantiles apart, whatever the seed."""
    for seed in range(20):
        place = (draw(seed) + 0.5) / 1000
        quantiles = 3 * place**2 - 2 * place**3
        np.testing.assert_allclose(np.diff(np.sort(quantiles)), 1 / 32, atol=0.004)


def test_words_so_far_are_a_bag_that_grows_from_left_to_right():
    words = keras.ops.convert_to_numpy(words_so_far(np.array([[2, 0, 2, 3]]), 5))
    expected = [[0, 0, 1, 0, 0], [0.5, 0, 0.5, 0, 0], [0.5, 0, 0.5, 0, 0], [1 / 3, 0, 1 / 3, 1 / 3, 0]]
    np.testing.assert_allclose(words, [expected], atol=1e-6)


@pytest.mark.large
def test_the_text_encoder_learns_to_tell_words_apart():
    """Also words that no picture shows: what is drawn here has nothing to do with the captions."""
    base = small_booth().base
    model = DenoiserTraining(base)
    model.compile(keras.optimizers.Adam(3e-3))
    tokens = base.tokenizer(["a photo of a dog", "a photo of sks dog", "a photo of zwx dog", "a photo of a cat"])
    moments = np.zeros((4, *base.latent_shape[:2], 2 * base.latent_shape[2]), "float16")
    batch = {"moments": moments, "tokens": tokens}
    losses = [model.train_on_batch(batch, return_dict=True)["words"] for _ in range(40)]
    bag = np.log(6.0)  # of the last and most frequent position, six words in equal shares
    assert losses[0] > 6.5
    assert losses[-1] < 0.5 * (losses[0] + bag)
