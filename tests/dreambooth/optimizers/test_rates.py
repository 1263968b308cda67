"""The text encoder moves at a rate of its own, with any optimizer, and stops when it is told to."""

import keras
import numpy as np
import pytest

from keras_booth.dreambooth import DreamBooth
from tests.helpers.booths import fixed_batch, small_booth


@pytest.fixture(scope="module")
def base():
    """Shared by all models here; `moved` puts its weights back."""
    return small_booth().base


def moved(base, optimizer, steps=1, **options):
    """How far each trained variable is from where it began, text encoder and UNet apart."""
    booth = DreamBooth(base, train_text_encoder=True)
    booth.compile(optimizer, run_eagerly=True, **options)
    batch = fixed_batch(booth, [False, True])
    parts = [booth.text_encoder.trainable_variables, booth.unet.trainable_variables]
    before = [arrays(part) for part in parts]
    history = []
    for _ in range(steps):
        booth.train_on_batch(batch)
        history.append(
            [[new - old for new, old in zip(arrays(p), b, strict=True)] for p, b in zip(parts, before, strict=True)]
        )
    for part, values in zip(parts, before, strict=True):
        for variable, value in zip(part, values, strict=True):
            variable.assign(value)
    return history


def arrays(variables):
    return [keras.ops.convert_to_numpy(variable).copy() for variable in variables]


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.optimizers.SGD(0.1),
        lambda: keras.optimizers.AdamW(0.1, weight_decay=0.5),
        lambda: keras.optimizers.Lion(0.1, weight_decay=0.5),
    ],
    ids=["sgd", "adamw", "lion"],
)
def test_first_step_is_a_share(base, make):
    """The weight decay, too, goes with the learning rate."""
    ((text, unet),) = moved(base, make())
    for factor in (0.0, 0.25):
        ((slow, same),) = moved(base, make(), text_encoder_rate=factor)
        for ours, change in zip(slow, text, strict=True):
            np.testing.assert_allclose(ours, factor * change, rtol=1e-3, atol=1e-5)
        for ours, change in zip(same, unet, strict=True):
            np.testing.assert_array_equal(ours, change)


@pytest.mark.floor
def test_stops(base):
    history = moved(base, keras.optimizers.AdamW(0.01), steps=4, text_encoder_until=2)
    texts, unets = zip(*history, strict=True)
    for place in range(len(texts[0])):
        assert np.any(texts[1][place] != texts[0][place])
        np.testing.assert_array_equal(texts[2][place], texts[1][place])
        np.testing.assert_array_equal(texts[3][place], texts[1][place])
    assert any(np.any(unets[3][place] != unets[1][place]) for place in range(len(unets[0])))


@pytest.mark.floor
def test_survives_saving(tmp_path):
    booth = small_booth(train_text_encoder=True)
    booth.compile(keras.optimizers.AdamW(0.01), text_encoder_rate=0.5, text_encoder_until=7)
    booth.save(tmp_path / "dog.keras", include_optimizer=True)
    again = keras.saving.load_model(tmp_path / "dog.keras")
    assert (set(again.optimizer.slow.factors.values()), again.optimizer.slow.until) == ({0.5}, 7)
    assert len(again.optimizer.slow.factors) == len(booth.optimizer.slow.factors) > 0


def test_mistake():
    with pytest.raises(ValueError, match="text_encoder_rate=-1"):
        small_booth(train_text_encoder=True).compile(text_encoder_rate=-1)
