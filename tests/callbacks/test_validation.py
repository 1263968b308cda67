"""The fixed loss, and what TensorBoard gets of it."""

import csv

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_booth.callbacks import SampleGrid
from keras_booth.callbacks.tensorboard import TensorBoardLog
from keras_booth.callbacks.validation import ValidationLoss, validation_datasets
from keras_booth.data import PhotoSet, find_photos, photo_dataset
from tests.helpers.booths import small_booth
from tests.helpers.photographs import write_photos


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("validation")
    return write_photos(folder / "photos", count=2), write_photos(folder / "class", count=3)


def sets(folders, booth):
    photos, prior = (find_photos(folder) for folder in folders)
    return [PhotoSet(tuple(photos), booth.instance_prompt)], [PhotoSet(tuple(prior), booth.class_prompt)]


def fit(folders, path, after=()):
    booth = small_booth(train_text_encoder=True)
    booth.compile(keras.optimizers.Adam(1e-3), run_eagerly=True)  # tracing would take longer
    photos, class_images = sets(folders, booth)
    validation = ValidationLoss(validation_datasets(booth, photos, class_images), path, every=2)
    data = photo_dataset(photos, class_images, booth, batch_size=2, steps_per_epoch=4)
    booth.fit(data, verbose=0, callbacks=[validation, *(make(validation) for make in after)])
    return booth, validation, rows(path)


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def trained(folders, tmp_path_factory):
    """The model, its callback and the lines of the file."""
    return fit(folders, tmp_path_factory.mktemp("trained") / "validation.csv")


def test_the_same_model_has_the_same_loss(trained):
    booth, validation, lines = trained
    assert [line["step"] for line in lines] == ["0", "2", "4"]
    last = {name: float(lines[-1][name]) for name in ("instance_loss", "prior_loss")}
    booth.seed_generator.next()  # what was drawn meanwhile is of no consequence
    assert validation.mean_losses() == pytest.approx(last, rel=1e-5)


def test_is_the_mean_error_by_hand(folders, trained):
    booth, _, lines = trained
    assert float(lines[-1]["instance_loss"]) < float(lines[0]["instance_loss"])
    photos, prior = sets(folders, booth)
    data = validation_datasets(booth, photos, prior)
    assert data.keys() == {"instance_loss", "prior_loss"}
    for name, samples in data.items():
        rng, errors = np.random.default_rng(0), []
        for batch in samples.as_numpy_iterator():
            noise = rng.standard_normal((2, 4, *booth.base.latent_shape), "float32")
            for index, timestep in enumerate((125, 375, 625, 875)):
                fixed = {"timesteps": np.array([timestep], "int32")}
                fixed |= {"noise": noise[0, index][None], "posterior_noise": noise[1, index][None]}
                found = booth(batch | fixed)
                errors.append(np.square(found["prediction"].numpy() - found["target"].numpy()).mean())
        assert float(lines[-1][name]) == pytest.approx(np.mean(errors), rel=1e-4)


def test_held_out_photographs(folders, tmp_path):
    """They are measured, and not trained on: here it is the picture that the other one is not."""
    booth = small_booth()
    booth.compile(keras.optimizers.Adam(1e-3), run_eagerly=True)
    (photos,), _ = sets(folders, booth)
    trained, held_out = [photos.first(1)], [photos.without_first(1)]
    assert (*trained[0].paths, *held_out[0].paths) == photos.paths
    data = validation_datasets(booth, trained, None, held_out)
    validation = ValidationLoss(data, tmp_path / "validation.csv", every=2)
    booth.fit(photo_dataset(trained, None, booth, batch_size=1, steps_per_epoch=2), verbose=0, callbacks=[validation])
    lines = rows(tmp_path / "validation.csv")
    assert [line["step"] for line in lines] == ["0", "2"]
    alone = ValidationLoss(validation_datasets(booth, held_out, None), tmp_path / "alone.csv", every=2)
    alone.set_model(booth)
    assert float(lines[-1]["held_out_loss"]) == pytest.approx(alone.mean_losses()["instance_loss"], rel=1e-5)
    assert lines[-1]["held_out_loss"] != lines[-1]["instance_loss"]
    assert lines[-1]["prior_loss"] == ""


def test_the_last_line_is_of_the_model_that_is_left(folders, tmp_path):
    """Averages are what is measured on the way, too; a run measures its end when `fit` is over, whatever is due."""
    booth = small_booth()
    optimizer = keras.optimizers.Adam(1e-2, use_ema=True, ema_momentum=0.5, gradient_accumulation_steps=2)
    booth.compile(optimizer, run_eagerly=True)
    photos, _ = sets(folders, booth)
    validation = ValidationLoss(validation_datasets(booth, photos, None), tmp_path / "validation.csv", every=2)
    validation.stop = 3
    booth.fit(photo_dataset(photos, None, booth, batch_size=2, steps_per_epoch=3), verbose=0, callbacks=[validation])
    validation.finish()
    validation.finish()  # a second time adds nothing
    lines = rows(tmp_path / "validation.csv")
    assert [line["step"] for line in lines] == ["0", "2", "3"]
    assert {line["prior_loss"] for line in lines} == {""}  # no class images
    assert float(lines[-1]["instance_loss"]) == pytest.approx(validation.mean_losses()["instance_loss"], rel=1e-4)
    assert lines[-1]["instance_loss"] != lines[-2]["instance_loss"]


@pytest.mark.large
def test_does_not_change_the_training(folders, trained):
    booth, *_ = trained
    plain = small_booth(train_text_encoder=True)
    plain.compile(keras.optimizers.Adam(1e-3), run_eagerly=True)
    plain.fit(photo_dataset(*sets(folders, plain), plain, batch_size=2, steps_per_epoch=4), verbose=0)
    for one, two in zip(booth.trainable_variables, plain.trainable_variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())


@pytest.mark.large
def test_tensorboard(folders, tmp_path):
    grid = SampleGrid("a photo of sks dog", count=2, every=2, folder=tmp_path / "samples")
    fit(
        folders,
        tmp_path / "validation.csv",
        after=[lambda _: grid, lambda validation: TensorBoardLog(tmp_path / "events", validation, grid)],
    )
    (path,) = (tmp_path / "events").iterdir()
    found = {}
    for event in tf.compat.v1.train.summary_iterator(str(path)):
        for value in event.summary.value:
            found.setdefault(value.tag, []).append(event.step)
    assert found["train/loss"] == [1, 2, 3, 4]
    assert found["validation/instance_loss"] == found["validation/prior_loss"] == [2, 4]
    assert found["a photo of sks dog"] == [2, 4]
