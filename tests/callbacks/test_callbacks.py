"""On a model of one weight, whose losses can be written down. `KERAS_BACKEND=jax pytest` runs them on JAX."""

import csv

import keras
import numpy as np
import pytest
from PIL import Image

from keras_booth.callbacks import SampleGrid, StepLog, TrainingProgress


class Brush(keras.Model):
    """Learns one grey by gradient descent; paints it. Its losses are means with counts, like DreamBooth's."""

    def __init__(self):
        super().__init__()
        self.grey = self.add_weight(shape=(), initializer="zeros", name="grey")
        self.prior_tracker = keras.metrics.Mean(name="prior_loss")

    def call(self, x):
        return x * 0.0 + self.grey

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = keras.ops.mean(keras.ops.square(y_pred - x))
        self.prior_tracker.update_state(2.0 * loss)
        return loss

    def generate(self, prompt, count=1, *, seed=0, on_batch=None, steps=None):
        grey = np.full((count, 8, 8, 3), round(float(self.grey.numpy()) * 100), "uint8")
        on_batch(count)
        return grey


STEPS, EPOCHS = 3, 2


def fit(*callbacks, **options):
    """Trains on the greys 1, 2, 3 in batches of one; returns the loss of each step and the weight after it."""
    brush = Brush()
    brush.compile(keras.optimizers.SGD(0.1, **options))
    greys = np.array([[1.0], [2.0], [3.0]], "float32")
    brush.fit(greys, batch_size=1, epochs=EPOCHS, shuffle=False, verbose=0, callbacks=list(callbacks))
    weight, losses, weights = 0.0, [], []
    for grey in [1.0, 2.0, 3.0] * EPOCHS:
        losses.append((weight - grey) ** 2)
        weight -= 0.1 * 2 * (weight - grey)
        weights.append(weight)
    return losses, weights


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


class TestStepLog:
    def test_true_losses_of_each_step(self, tmp_path):
        losses, _ = fit(StepLog(tmp_path / "log.csv"))
        rows = read(tmp_path / "log.csv")
        assert [int(row["step"]) for row in rows] == list(range(1, STEPS * EPOCHS + 1))
        np.testing.assert_allclose([float(row["loss"]) for row in rows], losses, rtol=1e-4)
        np.testing.assert_allclose([float(row["prior_loss"]) for row in rows], np.multiply(losses, 2), rtol=1e-4)
        assert {row["instance_loss"] for row in rows} == {""}

    def test_means_of_several_steps(self, tmp_path):
        losses, _ = fit(StepLog(tmp_path / "log.csv", every=3))
        rows = read(tmp_path / "log.csv")
        assert [int(row["step"]) for row in rows] == [3, 6]
        np.testing.assert_allclose([float(row["loss"]) for row in rows], np.reshape(losses, (2, 3)).mean(1), rtol=1e-4)


class TestSampleGrid:
    def greys(self, folder):
        """The grey of the picture on each sheet, by file name."""
        sheets = {path.name: np.asarray(Image.open(path)) for path in sorted(folder.iterdir())}
        return {name: int(sheet[-30, 100, 0]) for name, sheet in sheets.items()}

    def test_draws_from_the_live_weights(self, tmp_path):
        _, weights = fit(SampleGrid("grey", count=2, every=2, folder=tmp_path))
        expected = {f"step-{step:04d}.png": round(weights[step - 1] * 100) for step in (2, 4, 6)}
        assert self.greys(tmp_path) == expected

    def test_draws_with_averages_where_they_are_kept(self, tmp_path):
        _, weights = fit(SampleGrid("grey", count=2, every=2, folder=tmp_path), use_ema=True, ema_momentum=0.5)
        average, averages = 0.0, []
        for place, weight in enumerate(weights):
            average = 0.5 * average + 0.5 * weight if place else weight
            averages.append(average)
        expected = {f"step-{step:04d}.png": round(averages[step - 1] * 100) for step in (2, 4, 6)}
        assert self.greys(tmp_path) == expected

    def test_the_last_sheet_waits_for_the_end(self, tmp_path):
        grid = SampleGrid("grey", every=3, folder=tmp_path)
        grid.stop = STEPS * EPOCHS
        _, weights = fit(grid)
        assert list(self.greys(tmp_path)) == ["step-0003.png"]
        grid.finish()
        assert self.greys(tmp_path)["step-0006.png"] == round(weights[-1] * 100)

    def test_each_epoch(self, tmp_path):
        _, weights = fit(SampleGrid(["grey", "gray"], folder=tmp_path))
        expected = {f"step-{step:04d}.png": round(weights[step - 1] * 100) for step in (3, 6)}
        assert self.greys(tmp_path) == expected

    def test_default_folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        grid = SampleGrid("grey", steps=3)
        fit(grid)
        assert len(list((tmp_path / "samples").iterdir())) == EPOCHS
        assert grid.drawn_at == STEPS * EPOCHS
        assert grid.pictures[0].shape == (4, 8, 8, 3)

    @pytest.mark.parametrize(
        "arguments, message",
        [
            ({"prompts": ""}, "`prompts` must be a text"),
            ({"prompts": []}, "`prompts` must be a text"),
            ({"prompts": "a", "count": 0}, "`count` must be >= 1. Received: count=0"),
            ({"prompts": "a", "every": -1}, "`every` must be >= 0. Received: every=-1"),
        ],
    )
    def test_refuses(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            SampleGrid(**arguments)


def test_progress_is_one_line(capsys):
    fit(TrainingProgress(STEPS * EPOCHS))
    last = capsys.readouterr().err.split("\r")[-1]
    assert "6/6" in last
    assert "class loss" in last
    assert last.count("\n") == 1
