"""Encoders wait in a file while the UNet trains, and draw the same pictures when they are back."""

import copy
import pickle

import keras
import numpy as np
import pytest

import keras_booth
from keras_booth.dreambooth import LoraConfig
from tests.helpers.booths import fixed_batch, small_booth

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow only")


def sizes(model):
    """Numbers that are held in memory, whatever is read in their place."""
    values = [getattr(weight._value, "held", weight._value).read_value() for weight in model.weights]
    return sum(int(np.prod(np.shape(value))) for value in values)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param({"lora": LoraConfig(rank=2)}, marks=pytest.mark.floor),
        *(pytest.param(kind, marks=pytest.mark.large) for kind in ({}, {"train_text_encoder": True})),
    ],
)
def test_leave_memory_and_come_back(kind, tmp_path):
    booth = small_booth(**kind)
    pictures = booth.generate("a photo of sks dog", 2)
    batch = fixed_batch(booth, [False, True])
    batch["moments"] = booth.encode_moments(batch.pop("images"))
    if not booth.train_text_encoder:
        batch |= booth.encode_text(batch.pop("tokens"))
    booth.park_encoders()
    assert sizes(booth.image_encoder) == sizes(booth.decoder) == 0
    assert (sizes(booth.text_encoder) == 0) == (not booth.train_text_encoder)
    np.testing.assert_array_equal(booth.generate("a photo of sks dog", 2), pictures)
    assert sizes(booth.decoder) == 0
    booth.compile(keras.optimizers.Lion(1e-2))
    assert np.all(np.isfinite(booth.train_on_batch(batch)))
    booth.save(tmp_path / "dog.keras")
    assert sizes(booth.decoder) == 0
    trained = booth.generate("a photo of sks dog", 2)
    again = keras.saving.load_model(tmp_path / "dog.keras")
    np.testing.assert_array_equal(again.generate("a photo of sks dog", 2), trained)
    assert np.any(trained != pictures)
    booth.base.park()
    assert sizes(booth.decoder) > 0


@pytest.fixture(scope="module")
def parked():
    booth = small_booth()
    weights = [weight.numpy().copy() for weight in booth.weights]
    booth.park_encoders()
    return booth, weights


@pytest.mark.floor
class TestKeras:
    """All that Keras does with weights it does with those that wait in a file."""

    @staticmethod
    def different(booth, weights):
        return [v.path for v, value in zip(booth.weights, weights, strict=True) if not np.array_equal(v, value)]

    @pytest.mark.parametrize(
        "copied",
        [
            lambda booth, path: keras.saving.save_model(booth, path) or keras_booth.load(path),
            lambda booth, path: copy.deepcopy(booth),
            lambda booth, path: pickle.loads(pickle.dumps(booth)),
        ],
    )
    def test_copies(self, parked, tmp_path, copied):
        booth, weights = parked
        assert self.different(copied(booth, tmp_path / "dog.keras"), weights) == []
        assert sizes(booth.decoder) == 0

    def test_weights(self, parked, tmp_path):
        booth, weights = parked
        assert booth.count_params() == sum(int(np.prod(v.shape)) for v in weights)
        assert all(map(np.array_equal, booth.get_weights(), weights))
        booth.save_weights(tmp_path / "dog.weights.h5")
        other = small_booth(seed=1)
        other.load_weights(tmp_path / "dog.weights.h5")
        assert self.different(other, weights) == []

    def test_what_is_assigned_comes_back(self, tmp_path):
        booth, other = small_booth(), small_booth(seed=1)
        other.save_weights(tmp_path / "dog.weights.h5")
        weights = other.get_weights()
        for take in (booth.load_weights, booth.set_weights):
            booth.park_encoders()
            take(tmp_path / "dog.weights.h5" if take == booth.load_weights else [value + 1 for value in weights])
            assert sizes(booth.decoder) == 0
            booth.base.park()
            wanted = weights if take == booth.load_weights else [value + 1 for value in weights]
            assert self.different(booth, wanted) == []

    def test_callbacks(self, tmp_path):
        booth = small_booth()
        booth.compile(keras.optimizers.SGD(1e-3), run_eagerly=True)
        batch = fixed_batch(booth, [False, True])
        moments = {"moments": booth.encode_moments(batch["images"])} | booth.encode_text(batch["tokens"])
        booth.park_encoders()
        whole, alone = tmp_path / "dog.keras", tmp_path / "dog.weights.h5"
        callbacks = [
            keras.callbacks.ModelCheckpoint(whole),
            keras.callbacks.ModelCheckpoint(alone, save_weights_only=True),
            keras.callbacks.BackupAndRestore(tmp_path / "backup"),
        ]
        booth.fit(moments, verbose=0, callbacks=callbacks)
        other = small_booth(seed=1)
        other.load_weights(alone)
        weights = booth.get_weights()
        assert self.different(keras_booth.load(whole), weights) == self.different(other, weights) == []

    def test_what_needs_the_encoders(self, parked):
        booth, _ = parked
        booth.compile("sgd")
        batch = fixed_batch(booth, [False])
        with pytest.raises(ValueError, match="The image_encoder waits in a file.*Received: a batch of images, tokens"):
            booth.train_on_batch(batch)
        with pytest.raises(ValueError, match="call `export_weights`"):
            booth.export("dog")
