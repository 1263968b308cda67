"""Which weights are kept: the rule by hand, and a model that ends with the best of its steps."""

import csv
import math

import keras
import numpy as np
import pytest

from keras_booth.callbacks import KeepBest
from keras_booth.callbacks.best import Measured, second_of
from keras_booth.data import photo_dataset
from keras_booth.evaluation import Estimate, PromptSet, Protocol
from keras_booth.tools.errors import InputError
from tests.helpers.booths import small_booth
from tests.helpers.color_metrics import color_metrics
from tests.helpers.photographs import write_photos

PROTOCOL = Protocol(PromptSet(("a {} in red",)), 1, 2, sampling={"steps": 1})


def measured(subject, prompt, drift, second=math.nan):
    return Measured(0, subject, prompt, drift, 0.5, second)


class TestRule:
    LIMIT = 0.1

    @pytest.mark.parametrize(
        "one, other",
        [
            (measured(0.9, 0.8, 0.05), measured(0.8, 0.8, 0.0)),  # the product counts
            (measured(0.7, 0.7, 0.1), measured(0.9, 0.5, 0.1)),
            (measured(0.2, 0.2, 0.1), measured(1.0, 1.0, 0.11)),  # of a class that drifted nothing counts
            (measured(0.2, 0.2, 0.2), measured(1.0, 1.0, 0.3)),  # of two that did, the one that did less
            (measured(1.0, 1.0, 0.1, 0.61), measured(1.0, 1.0, 0.0, 0.6)),  # of equal ones the second opinion counts
            (measured(1.0, 0.9, 0.1, 0.1), measured(1.0, 0.8, 0.0, 0.6)),  # and of others it does not
        ],
    )
    def test_the_better_one(self, one, other):
        assert one.better_than(other, self.LIMIT)
        assert not other.better_than(one, self.LIMIT)

    def test_anything_is_better_than_nothing(self):
        assert measured(0, 0, 1).better_than(None, self.LIMIT)

    def test_the_second_metric_that_asks(self):
        """Of each question, or again the first; of none that is asked twice there is no second opinion."""
        one, two, three = (Estimate(value, None, None, 1) for value in (0.5, 0.6, 0.7))
        assert second_of({"subject": [one, two, three], "prompt": [one, three]}) == pytest.approx(0.42)
        assert second_of({"subject": [one, two], "prompt": [three]}) == pytest.approx(0.42)
        assert math.isnan(second_of({"subject": [one], "prompt": [two], "drift": [one, two]}))

    def test_equal_ones_stay(self):
        assert not measured(0.5, 0.4, 0.0).better_than(measured(0.4, 0.5, 0.05), self.LIMIT)


class Planned:
    """Says at each measurement what a test planned: subject, prompt, drift."""

    name = source = "planned"
    of, needs_prompts, higher_is_better = "subject", True, True
    roles = {"subject": "subject", "prompt": "prompt", "drift": "drift"}

    def __init__(self, *plan):
        self.plan = iter(plan)

    def prepare(self):
        pass

    def score(self, pictures, references, prompts):
        values = zip(self.roles, next(self.plan), strict=True)
        return {name: Estimate(value, value - 0.01, value + 0.01, 4) for name, value in values}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("best") / "photos", count=2)


class Snapshots(keras.callbacks.Callback):
    """The weights after each step."""

    def on_train_begin(self, logs=None):
        self.after = {}

    def on_train_batch_end(self, batch, logs=None):
        self.after[len(self.after) + 1] = weights(self.model)


def weights(booth):
    return [keras.ops.convert_to_numpy(variable) for variable in booth.trainable_variables]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def fit(photos, folder, plan=(), steps=4, optimizer=None, **options):
    keras.utils.clear_session()
    booth = small_booth()
    booth.compile(optimizer or keras.optimizers.Adam(1e-3), run_eagerly=True)  # tracing would take longer
    metrics = [Planned(*plan)] if plan else color_metrics()
    best = KeepBest(photos, folder, every=1, metrics=metrics, protocol=PROTOCOL, **options)
    snapshots = Snapshots()
    data = photo_dataset(photos, None, booth, batch_size=2, steps_per_epoch=steps)
    booth.fit(data, verbose=0, callbacks=[snapshots, best])
    return booth, best, snapshots


def rows(folder):
    with open(folder / "best.csv", newline="") as file:
        return list(csv.DictReader(file))


PLAN = ((0.1, 0.9, 0.2), (0.5, 0.9, 0.21), (0.8, 0.9, 0.2), (0.9, 0.9, 0.5), (0.7, 0.9, 0.1))


class TestKeepBest:
    @pytest.fixture(scope="class")
    @classmethod
    def done(cls, photos, tmp_path_factory):
        folder = tmp_path_factory.mktemp("kept")
        return *fit(photos, folder, PLAN), rows(folder)

    def test_the_model_ends_with_the_best(self, done):
        """After two steps: after three the class is lost, and the fourth is worse again."""
        booth, best, snapshots, _ = done
        assert best.best.step == 2
        assert same(weights(booth), snapshots.after[2])
        assert not same(weights(booth), snapshots.after[4])

    def test_table(self, done):
        lines = done[-1]
        assert [line["step"] for line in lines] == ["0", "1", "2", "3", "4"]
        assert [float(line["kept"]) for line in lines] == [1, 1, 1, 0, 0]
        assert [float(line["subject"]) for line in lines] == [plan[0] for plan in PLAN]
        assert {line["drift_limit"] for line in lines} == {"0.21"}

    def test_changes_nothing_of_training(self, done, photos):
        *_, snapshots, _ = done
        keras.utils.clear_session()
        booth = small_booth()
        booth.compile(keras.optimizers.Adam(1e-3), run_eagerly=True)
        booth.fit(photo_dataset(photos, None, booth, batch_size=2, steps_per_epoch=4), verbose=0)
        assert same(weights(booth), snapshots.after[4])

    def test_patience(self, photos, tmp_path):
        booth, best, snapshots = fit(photos, tmp_path, PLAN, patience=1)
        assert len(snapshots.after) == 3
        assert best.best.step == 2 and same(weights(booth), snapshots.after[2])

    def test_averages_are_what_is_kept(self, photos, tmp_path):
        optimizer = keras.optimizers.Adam(1e-2, use_ema=True, ema_momentum=0.5)
        booth, _, snapshots = fit(photos, tmp_path, PLAN[:3], steps=2, optimizer=optimizer)
        # Of two steps with a momentum of a half, after the first one: halfway from the beginning.
        assert not same(weights(booth), snapshots.after[2])

    def test_with_the_papers_metrics(self, photos, tmp_path):
        fit(photos, tmp_path, steps=1)
        lines = rows(tmp_path)
        assert [line["step"] for line in lines] == ["0", "1"]
        assert all(0 <= float(line[name]) <= 1 for line in lines for name in ("subject", "prompt", "drift"))


class TestGoingOn:
    def test_as_if_it_had_not_been_stopped(self, photos, tmp_path):
        """Stopped after three steps, going on from a checkpoint of step 1: the best is of step 2, behind it."""
        fit(photos, tmp_path, PLAN[:4], steps=3)
        before = rows(tmp_path)
        booth = small_booth()
        booth.compile("adam", run_eagerly=True)
        best = KeepBest(photos, tmp_path, every=1, metrics=[Planned(*PLAN[2:])], protocol=PROTOCOL)
        best.start = 1
        best.set_model(booth)
        best.on_train_begin()
        assert best.best.step == 2 and best.drift_limit == pytest.approx(0.21)
        assert [line["step"] for line in rows(tmp_path)] == ["0", "1"]
        for best.step in (2, 3, 4):
            best.measure()
        assert rows(tmp_path)[:4][:3] == before[:2] + [before[2] | {"kept": "0"}]
        assert best.best.step == 2

    def test_damaged_weights(self, photos, tmp_path):
        fit(photos, tmp_path, PLAN[:2], steps=1)
        (tmp_path / "best.safetensors").write_bytes(b"damaged")
        booth = small_booth()
        best = KeepBest(photos, tmp_path, every=1, metrics=[Planned()], protocol=PROTOCOL)
        best.start = 1
        best.set_model(booth)
        with pytest.raises(InputError, match="The best weights of the run are damaged: begin it again"):
            best.on_train_begin()


class TestMistakes:
    @pytest.mark.parametrize("options", [{"every": 0}, {"every": 1, "patience": 0}])
    def test_numbers(self, photos, tmp_path, options):
        with pytest.raises(InputError, match="must be >= 1. Received"):
            KeepBest(photos, tmp_path, **options)

    def test_an_open_question(self, photos, tmp_path):
        best = KeepBest(photos, tmp_path, every=1, metrics=color_metrics()[:3])
        with pytest.raises(InputError, match="`metrics` must say something of the drift"):
            best.set_model(small_booth())

    def test_no_photographs(self, tmp_path):
        with pytest.raises(InputError, match="The photo folder does not exist"):
            KeepBest(tmp_path / "nowhere", tmp_path, every=1)
