"""Which timesteps the base is pretrained on."""

import keras
import numpy as np

from keras_booth.bases.tiny_world.training import middling_timesteps


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
