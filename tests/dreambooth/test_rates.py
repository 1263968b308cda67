"""The text encoder moves at a rate of its own, with any optimizer, and stops when it is told to."""

import keras
import numpy as np
import pytest

from tests.conftest import fixed_batch, small_booth


def moved(optimizer, steps=1, **options):
    """How far each trained variable is from where it began, text encoder and UNet apart."""
    booth = small_booth(train_text_encoder=True)
    booth.compile(optimizer, run_eagerly=True, **options)
    batch = fixed_batch(booth, [False, True])
    before = {variable.path: keras.ops.convert_to_numpy(variable) for variable in booth.trainable_variables}
    history = []
    for _ in range(steps):
        booth.train_on_batch(batch)
        history.append(
            [
                {variable.path: keras.ops.convert_to_numpy(variable) - before[variable.path] for variable in part}
                for part in (booth.text_encoder.trainable_variables, booth.unet.trainable_variables)
            ]
        )
    return history


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.optimizers.SGD(0.1),
        lambda: keras.optimizers.AdamW(0.1, weight_decay=0.5),
        lambda: keras.optimizers.Lion(0.1, weight_decay=0.5),
    ],
    ids=["sgd", "adamw", "lion"],
)
@pytest.mark.parametrize("factor", [0.0, 0.25])
def test_first_step_is_a_share(make, factor):
    """The weight decay, too, goes with the learning rate."""
    ((text, unet),) = moved(make())
    ((slow, same),) = moved(make(), text_encoder_rate=factor)
    for path, change in text.items():
        np.testing.assert_allclose(slow[path], factor * change, rtol=1e-3, atol=1e-5)
    for path, change in unet.items():
        np.testing.assert_array_equal(same[path], change)


def test_stops():
    history = moved(keras.optimizers.AdamW(0.01), steps=4, text_encoder_until=2)
    texts, unets = zip(*history, strict=True)
    for path in texts[0]:
        assert np.any(texts[1][path] != texts[0][path])
        np.testing.assert_array_equal(texts[2][path], texts[1][path])
        np.testing.assert_array_equal(texts[3][path], texts[1][path])
    assert any(np.any(unets[3][path] != unets[1][path]) for path in unets[0])


def test_survives_saving(tmp_path):
    booth = small_booth(train_text_encoder=True)
    booth.compile(keras.optimizers.AdamW(0.01), text_encoder_rate=0.5, text_encoder_until=7)
    booth.save(tmp_path / "dog.keras", include_optimizer=True)
    again = keras.saving.load_model(tmp_path / "dog.keras")
    assert (again.optimizer.slow_factor, again.optimizer.slow_until) == (0.5, 7)
    assert len(again.optimizer.slow_paths) == len(booth.optimizer.slow_paths)


def test_mistake():
    with pytest.raises(ValueError, match="text_encoder_rate=-1"):
        small_booth(train_text_encoder=True).compile(text_encoder_rate=-1)
