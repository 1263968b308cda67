"""Files that earlier versions saved: they open, and draw what they drew."""

import gzip
import pathlib

import keras
import numpy as np
import pytest

import keras_booth

OLD = pathlib.Path(__file__).parent / "old"


@pytest.mark.floor
def test_a_model_of_566c654(tmp_path):
    path = tmp_path / "old.keras"
    path.write_bytes(gzip.decompress((OLD / "saved_by_566c654.keras.gz").read_bytes()))
    booth = keras.saving.load_model(path)
    assert isinstance(booth, keras_booth.DreamBooth)
    assert (booth.identifier, booth.class_noun, booth.train_text_encoder) == ("zwx", "cat", True)
    assert set(booth.adapters.sizes.values()) == {(2, 4.0)}
    assert any(name.startswith("text_encoder.") for name in booth.adapters.sizes)
    drawn = booth.generate(["a photo of zwx cat", "a photo of a cat"], count=2, seed=3)
    # By one level, for other machines round differently.
    assert np.abs(drawn.astype(int) - np.load(OLD / "drawn_by_566c654.npy")).max() <= 1
    # To train on: it was saved without its optimizer, and says nothing of how long it was trained.
    booth.compile("adamw")
    assert booth.trainable_variables and not booth._parts.past.known
