"""What `fit` and `compile` take from a Keras user, and what they refuse with a sentence."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_booth.tools.errors import InputError
from tests.helpers.booths import fixed_batch, small_booth

FORMAT = "A batch is a dict of `images`, float (batch, 16, 16, 3) in [-1, 1], and `tokens`, int (batch, 12)"


@pytest.fixture(scope="module")
def booth():
    """Compiled. Not traced, which would take longer than everything else here."""
    booth = small_booth()
    booth.compile(keras.optimizers.SGD(1e-3), run_eagerly=True)
    return booth


@pytest.fixture(scope="module")
def batch(booth):
    """What a hand-made batch must hold."""
    return {name: array for name, array in fixed_batch(booth, (False,) * 4).items() if name in ("images", "tokens")}


def refuse(received, call, *args, **kwargs):
    """The sentence, which ends in what was received."""
    with pytest.raises(InputError) as raised:
        call(*args, **kwargs)
    assert "\n" not in str(raised.value)
    assert f"Received: {received}" in str(raised.value)
    return str(raised.value)


class Dataset(keras.utils.PyDataset):
    def __init__(self, batch):
        super().__init__()
        self.batch = batch

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.batch


def pictures(images):
    return ((images + 1) * 127.5).astype("uint8")


@pytest.mark.parametrize(
    "change, received",
    [
        (lambda batch: batch | {"images": pictures(batch["images"])}, "images of dtype uint8"),
        (lambda batch: batch | {"images": pictures(batch["images"]).astype("float32")}, "images in [0, 254]"),
        (lambda batch: batch | {"images": batch["images"][:, :8]}, "images of shape (4, 8, 16, 3)"),
        (lambda batch: batch | {"images": batch["images"] * np.nan}, "images in [nan, nan]"),
        (lambda batch: batch | {"tokens": batch["tokens"][:3]}, "lengths [3, 4]"),
        (lambda batch: batch | {"tokens": batch["tokens"][:, :5]}, "tokens of shape (4, 5)"),
        (lambda batch: batch | {"tokens": batch["tokens"] + 1211}, "tokens in [1531, 2421]"),
        (lambda batch: batch | {"tokens": batch["tokens"].astype("float32")}, "tokens of dtype float32"),
        (lambda batch: batch | {"tokens": "a dog"}, "tokens='a dog'"),
        (lambda batch: batch | {"prior": batch["tokens"]}, "prior=an array of shape (4, 12)"),
        (lambda batch: {"images": batch["images"]}, "a dict of images"),
        (lambda batch: {"tokens": batch["tokens"]}, "a dict of tokens"),
        (lambda batch: [batch["images"], batch["tokens"]], "a list"),
        (lambda batch: (batch["images"], batch["tokens"]), "y=an array of shape (4, 12)"),
        (lambda batch: batch["images"], "an array of shape (4, 16, 16, 3)"),
        (lambda batch: "photos/my_dog", "'photos/my_dog'"),
        (lambda batch: None, "None"),
    ],
)
def test_no_batch(booth, batch, change, received):
    for call in (booth.fit, booth.evaluate, booth.train_on_batch, booth.test_on_batch):
        assert FORMAT in refuse(received, call, change(batch))


def test_no_labels(booth, batch):
    for call in (booth.fit, booth.evaluate, booth.train_on_batch, booth.test_on_batch):
        assert FORMAT in refuse("y=an array of shape (4, 12)", call, batch["images"], batch["tokens"])
    refuse("sample_weight", booth.fit, batch, sample_weight=np.ones(4))
    refuse("y=an array of shape (4, 12)", booth.fit, batch, validation_data=(batch["images"], batch["tokens"]))


def test_datasets(booth, batch):
    """What TensorFlow's say of themselves; of others the first batch."""
    uint8 = batch | {"images": pictures(batch["images"])}
    slices = tf.data.Dataset.from_tensor_slices
    refuse("images of dtype uint8", booth.fit, slices(uint8).batch(2))
    refuse("y=an array of shape (batch, 12)", booth.fit, slices((batch["images"], batch["tokens"])).batch(2))
    refuse("images of dtype uint8", booth.fit, Dataset(uint8), verbose=0)
    refuse("images of dtype uint8", booth.fit, (one for one in [uint8]), steps_per_epoch=1, verbose=0)
    for data in (slices(batch).batch(2), Dataset(batch), (one for one in [batch])):
        assert np.isfinite(booth.fit(data, steps_per_epoch=1, verbose=0).history["loss"]).all()


def test_pictures_that_may_be_in_0_to_1(booth, batch, caplog):
    booth.test_on_batch(batch)
    assert caplog.text == ""
    booth.test_on_batch(batch | {"images": batch["images"] / 2 + 0.5})
    assert "must be in [-1, 1], not [0, 1]" in caplog.text


@pytest.mark.parametrize("shuffle, moved", [({}, True), ({"shuffle": False}, False)])
def test_arrays_are_shuffled(booth, batch, monkeypatch, shuffle, moved):
    """As Keras does it; `photo_dataset` has an order of its own."""
    seen = []
    prepare = booth._prepare

    def watched(data):
        seen.extend(np.array(keras.utils.unpack_x_y_sample_weight(data)[0]["tokens"][:, 1]).tolist())
        return prepare(data)

    monkeypatch.setattr(booth, "_prepare", watched)
    many = {name: np.repeat(array[:1], 12, axis=0) for name, array in batch.items()}
    many["tokens"][:, 1] = np.arange(12)
    keras.utils.set_random_seed(0)
    booth.fit(many, batch_size=6, verbose=0, **shuffle)
    assert sorted(seen) == list(range(12))
    assert (seen != list(range(12))) == moved


class TestCompile:
    @pytest.mark.parametrize("name", ["loss", "loss_weights", "metrics", "weighted_metrics"])
    def test_arguments_without_effect(self, booth, name):
        refuse(f"{name}=['mse']", booth.compile, "sgd", **{name: ["mse"]})

    def test_numbers(self, booth):
        refuse("prior_loss_weight='mse'", booth.compile, "sgd", "mse")
        refuse("prior_loss_weight=-1", booth.compile, "sgd", -1)
        refuse("min_snr_gamma=0", booth.compile, "sgd", min_snr_gamma=0)
        refuse("noise_offset=nan", booth.compile, "sgd", noise_offset=float("nan"))

    def test_half_floatx(self, booth):
        keras.config.set_floatx("float16")
        try:
            refuse("floatx='float16'", booth.compile, "sgd")
        finally:
            keras.config.set_floatx("float32")

    @pytest.mark.large  # it must be traced
    def test_several_steps_at_once(self, batch):
        booth = small_booth()
        booth.compile("sgd", steps_per_execution=2)
        booth.fit(batch, batch_size=1, verbose=0)
        assert booth.trained_steps == 4


class TestFrozen:
    def test_nothing_is_trainable(self, batch):
        booth = small_booth()
        booth.unet.trainable = False
        refuse("unet.trainable=False", booth.compile, "sgd")
        booth.unet.trainable = True
        booth.compile("sgd", run_eagerly=True)
        booth.unet.trainable = False
        refuse("0 trainable variables", booth.fit, batch)
        booth.unet.trainable = booth.text_encoder.trainable = True
        refuse("228 trainable variables", booth.train_on_batch, batch)
        booth.compile("sgd", run_eagerly=True)
        assert np.all(np.isfinite(booth.train_on_batch(batch)))

    def test_not_compiled(self, batch):
        booth = small_booth()
        for name in ("fit", "evaluate", "train_on_batch", "test_on_batch"):
            sentence = refuse(f"{name} of a model that is not compiled", getattr(booth, name), batch)
            assert "include_optimizer=True" in sentence
