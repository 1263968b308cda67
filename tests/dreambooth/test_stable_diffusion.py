"""Stable Diffusion 1.4 at full size, with random weights: about 17 GB of memory and 5 GB of disk."""

import gc

import keras
import numpy as np
import pytest

import keras_booth
from tests.helpers.places import CLIP

PROMPT = "a photo of sks dog in the snow"


@pytest.mark.huge
def test_one_step_on_real_photographs_and_back_from_a_file(photographs, tmp_path):
    if not CLIP.is_file():
        pytest.skip("../shared/data/clip is not there")
    keras.utils.clear_session()
    booth = keras_booth.DreamBooth.from_preset(
        "stable_diffusion_1.4", weights=None, image_size=128, vocabulary=CLIP, identifier="sks", class_noun="dog"
    )
    prior = booth.class_images(1, folder=tmp_path, steps=1, progress=False)
    data = keras_booth.data.photo_dataset(photographs / "dog", prior, booth, batch_size=2, steps_per_epoch=1)
    # The first, the last, and some weights between.
    chosen = slice(None, None, len(booth.unet.weights) // 10)
    before = [keras.ops.convert_to_numpy(weight).copy() for weight in booth.unet.weights[chosen]]
    frozen = keras.ops.convert_to_numpy(booth.text_encoder.weights[5]).copy()

    booth.compile(keras.optimizers.AdamW(5e-6, global_clipnorm=1.0), prior_loss_weight=1.0)
    history = booth.fit(data, verbose=0).history
    assert all(np.isfinite(history[name][0]) and history[name][0] > 0 for name in history)
    after = [keras.ops.convert_to_numpy(weight).copy() for weight in booth.unet.weights[chosen]]
    assert not any(np.array_equal(old, new) for old, new in zip(before, after, strict=True))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(booth.text_encoder.weights[5]), frozen)

    path, parameters = tmp_path / "dog.keras", booth.count_params()
    booth.save(path, dtype="float16")
    assert path.stat().st_size == pytest.approx(2 * parameters, rel=0.02)
    del booth, data
    keras.utils.clear_session()
    gc.collect()

    loaded = keras.saving.load_model(path)
    for weight, value in zip(loaded.unet.weights[chosen], after, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight), value.astype("float16").astype("float32"))
    assert loaded.tokenize([PROMPT])[0, :6].tolist() == [49406, 320, 1125, 539, 48136, 1929]
    picture = loaded.generate(PROMPT, steps=1)
    assert picture.shape == (1, 128, 128, 3) and picture.dtype == np.uint8 and picture.std() > 0
