import keras
import numpy as np
import pytest

from keras_booth.tiny_world.judge import JUDGE_PATH, Judge, augment, build_judge_model, train_judge
from keras_booth.tiny_world.scenes import ATTRIBUTES, labels, random_scene, render


def make_data(count, seed):
    rng = np.random.default_rng(seed)
    scenes = [random_scene(rng) for _ in range(count)]
    rows = [labels(scene) for scene in scenes]
    return np.stack([render(scene) for scene in scenes]), {
        name: np.array([row[name] for row in rows]) for name in ATTRIBUTES
    }


@pytest.fixture(scope="module")
def trained():
    images, truth = make_data(48, seed=0)
    return train_judge(images, truth, steps=40, batch_size=24, seed=1), images, truth


def test_is_small():
    assert build_judge_model().count_params() < 600_000


def test_learns_settings(trained):
    judge, images, truth = trained
    accuracy = judge.accuracy(images, truth)
    assert set(accuracy) == set(ATTRIBUTES)
    assert accuracy["setting"] > 0.8


def test_answers(trained):
    judge, images, _ = trained
    probabilities, answers = judge.probabilities(images[:5], batch_size=2), judge.predict(images[:5])
    for name, values in ATTRIBUTES.items():
        assert probabilities[name].shape == (5, len(values))
        np.testing.assert_allclose(probabilities[name].sum(-1), 1, atol=1e-5)
        assert answers[name] == [values[index] for index in probabilities[name].argmax(-1)]
    assert judge.predict(images[:0])["pattern"] == []


def test_save_and_load_give_identical_answers(trained, tmp_path):
    judge, images, _ = trained
    judge.save(tmp_path / "judge.safetensors")
    loaded = Judge.load(tmp_path / "judge.safetensors")
    for name, expected in judge.probabilities(images).items():
        np.testing.assert_array_equal(loaded.probabilities(images)[name], expected)


def test_load_is_independent_of_the_dtype_policy(trained, tmp_path):
    judge, images, _ = trained
    judge.save(tmp_path / "judge.safetensors")
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        loaded = Judge.load(tmp_path / "judge.safetensors")
        assert loaded.predict(images) == judge.predict(images)
    finally:
        keras.config.set_dtype_policy(policy)


@pytest.mark.large
def test_training_is_deterministic():
    images, truth = make_data(8, seed=0)
    first, second, third = (train_judge(images, truth, steps=2, batch_size=4, seed=seed) for seed in (0, 0, 1))
    answers = [judge.probabilities(images)["setting"] for judge in (first, second, third)]
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-5)
    assert np.abs(answers[0] - answers[2]).max() > 1e-4


def test_augmentation_keeps_range_and_content():
    images, _ = make_data(8, seed=0)
    changed = augment(images, np.random.default_rng(0))
    assert changed.shape == images.shape and changed.dtype == np.float32
    assert changed.min() >= 0 and changed.max() <= 255
    np.testing.assert_array_equal(changed, augment(images, np.random.default_rng(0)))
    np.testing.assert_allclose(changed.mean((1, 2)), images.mean((1, 2)), atol=40)


def test_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"Received: images.shape=\(1, 32, 32, 3\)"):
        Judge(build_judge_model()).predict(np.zeros((1, 32, 32, 3), "uint8"))


@pytest.mark.skipif(not JUDGE_PATH.exists(), reason="the package's judge has not been trained yet")
def test_the_judge_that_ships_reads_renders():
    images, truth = make_data(300, seed=12345)
    for name, share in Judge.load().accuracy(images, truth).items():
        assert share >= 0.95, name
