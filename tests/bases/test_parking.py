"""Encoders wait in a file while the UNet trains, and draw the same pictures when they are back."""

import keras
import numpy as np
import pytest

from keras_booth.dreambooth import LoraConfig
from tests.conftest import fixed_batch, small_booth

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow only")


def sizes(model):
    """Numbers that are held in memory."""
    return sum(int(np.prod(np.shape(variable.value.read_value()))) for variable in model.weights)


@pytest.mark.parametrize(
    "kind",
    [
        {"lora": LoraConfig(rank=2)},
        *(pytest.param(kind, marks=pytest.mark.large) for kind in ({}, {"train_text_encoder": True})),
    ],
)
def test_leave_memory_and_come_back(kind, tmp_path):
    booth = small_booth(**kind)
    pictures = booth.generate("a photo of sks dog", 2)
    batch = fixed_batch(booth, [False, True])
    batch["moments"] = booth.encode_moments(batch.pop("images"))
    if not booth.train_text_encoder:
        batch["context"] = booth.encode_text(batch.pop("tokens"))
    booth.park_encoders()
    assert sizes(booth.image_encoder) == sizes(booth.decoder) == 0
    assert (sizes(booth.text_encoder) == 0) == (not booth.train_text_encoder)
    np.testing.assert_array_equal(booth.generate("a photo of sks dog", 2), pictures)
    assert sizes(booth.decoder) == 0
    booth.compile(keras.optimizers.Adam(1e-2))
    assert np.all(np.isfinite(booth.train_on_batch(batch)))
    booth.save(tmp_path / "dog.keras")
    assert sizes(booth.decoder) == 0
    trained = booth.generate("a photo of sks dog", 2)
    again = keras.saving.load_model(tmp_path / "dog.keras")
    np.testing.assert_array_equal(again.generate("a photo of sks dog", 2), trained)
    assert np.any(trained != pictures)
    booth.base.park()
    assert sizes(booth.decoder) > 0
