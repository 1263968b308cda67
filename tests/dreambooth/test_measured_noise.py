"""`evaluate` and `validation_data`: figures of the weights, and not of the noise at hand."""

import keras
import numpy as np
import pytest

from keras_booth.data import photo_dataset
from keras_booth.dreambooth import DreamBooth
from keras_booth.dreambooth.measured_noise import even_timesteps
from tests.helpers.booths import fixed_batch, small_booth
from tests.helpers.places import PHOTOS


@pytest.fixture(scope="module")
def booth():
    return compiled(small_booth())


def compiled(booth, rate=1e-3, **options):
    booth.compile(keras.optimizers.AdamW(rate), **options)
    return booth


def photographs(booth):
    return photo_dataset(PHOTOS, None, booth, batch_size=2, shuffle=False, steps_per_epoch=2)


def batch_of(booth, priors):
    """A batch that leaves noise and timesteps open."""
    batch = fixed_batch(booth, priors)
    return {name: batch[name] for name in ("images", "tokens", "is_prior")}


class TestTimesteps:
    PRIORS = np.array([False, True, True, False, True, False, True])

    def timesteps(self, count, steps=1000):
        return np.asarray(even_timesteps(self.PRIORS, count, steps))

    @pytest.mark.parametrize("count", [0, 1, 5, 100])
    def test_each_kind_has_one_in_each_part(self, count):
        timesteps = self.timesteps(count)
        assert timesteps.min() >= 0 and timesteps.max() < 1000
        for kind in (True, False):
            found = timesteps[kind == self.PRIORS]
            np.testing.assert_array_equal(np.sort(found * len(found) // 1000), np.arange(len(found)))

    def test_batches_fill_the_gaps(self):
        """The largest gap of n values is at best 1 / n; multiples of the golden ratio stay below 2 / n."""
        found = np.sort([self.timesteps(count)[self.PRIORS] for count in range(25)], axis=None)
        assert np.diff(found, prepend=0, append=1000).max() < 2 * 1000 / len(found)

    def test_each_picture_sees_the_whole_schedule(self):
        of_the_first = [self.timesteps(count)[0] for count in range(3)]
        np.testing.assert_array_equal(np.sort(of_the_first) * 3 // 1000, np.arange(3))

    def test_short_schedule(self):
        assert self.timesteps(3, steps=1).tolist() == [0] * 7


class TestEvaluate:
    @pytest.mark.floor
    def test_the_same_every_time(self, booth):
        data = photographs(booth)
        first, second, third = (booth.evaluate(data, verbose=0, return_dict=True) for _ in range(3))
        assert first == second == third
        again = compiled(DreamBooth(booth.base))
        assert again.evaluate(data, verbose=0, return_dict=True) == first

    def test_other_seeds_other_noise(self, booth):
        batch = batch_of(booth, (False, True))
        one, other = (compiled(DreamBooth(booth.base, seed=seed)).test_on_batch(batch) for seed in (0, 1))
        assert one != other

    def test_batches_differ(self, booth):
        """Else the same picture twice would be no more than once."""
        batch = batch_of(booth, (False, True))
        twice = keras.tree.map_structure(lambda array: np.concatenate([array, array]), batch)
        once = booth.evaluate(batch, batch_size=2, verbose=0)
        assert once == booth.test_on_batch(batch)
        assert booth.evaluate(twice, batch_size=2, verbose=0) != once

    def test_what_the_batch_says_holds(self, booth):
        batch = fixed_batch(booth, (False, True))
        found = booth(batch)
        error = np.square(np.asarray(found["prediction"]) - np.asarray(found["target"])).mean((1, 2, 3))
        losses = booth.test_on_batch(batch, return_dict=True)
        assert losses["instance_loss"] == pytest.approx(error[0], rel=1e-5)
        assert losses["prior_loss"] == pytest.approx(error[1], rel=1e-5)

    def test_the_mean_over_all_timesteps(self, booth):
        """Of many batches of one picture: as many draws of all that is left to chance in training."""
        batch = batch_of(booth, (False,))
        many = keras.tree.map_structure(lambda array: np.repeat(array, 96, axis=0), batch)
        measured = booth.evaluate(many, batch_size=8, verbose=0, return_dict=True)["loss"]
        drawn = many | {"timesteps": np.linspace(0, 999, 96).astype("int32")}
        found = booth(drawn)
        error = np.square(np.asarray(found["prediction"]) - np.asarray(found["target"])).mean((1, 2, 3))
        assert measured == pytest.approx(error.mean(), abs=4 * error.std() / np.sqrt(96))

    def test_drawn_noise_is_normal(self, booth):
        from keras_booth.dreambooth.measured_noise import with_measured_noise

        batch = with_measured_noise({"is_prior": np.zeros(64, "bool")}, 3, 7, booth.base)
        noises = [np.asarray(batch[name]) for name in ("noise", "posterior_noise")]
        for noise in noises:
            assert abs(noise.mean()) < 0.03 and abs(noise.std() - 1) < 0.03
        assert abs(np.corrcoef(*(noise.ravel() for noise in noises))[0, 1]) < 0.03


class TestValidation:
    def fit(self, rate=1e-3, epochs=2, **options):
        keras.utils.clear_session()
        booth = compiled(small_booth(), rate, run_eagerly=True)  # tracing would take longer
        data = photographs(booth)
        options = {name: data for name in options}
        history = booth.fit(data, epochs=epochs, verbose=0, **options).history
        return booth, history

    @pytest.mark.large
    def test_follows_the_weights_alone(self):
        """So that `EarlyStopping` and `ReduceLROnPlateau` follow no noise."""
        _, history = self.fit(rate=1e-12, validation_data=True)
        assert np.ptp(history["val_loss"]) < 1e-6 < np.ptp(history["loss"])

    @pytest.mark.floor
    def test_changes_nothing_of_training(self):
        (one, with_validation), (other, without) = self.fit(validation_data=True), self.fit()
        assert {name: with_validation[name] for name in without} == without
        for weight, same in zip(one.weights, other.weights, strict=True):
            np.testing.assert_array_equal(weight, same)
