"""The small encoders that stand in for DINO and CLIP: their loss by hand, their data, and that they learn."""

import numpy as np
import pytest

from keras_booth.tiny_world.encoders import (
    LENGTH,
    TEMPERATURE,
    WIDTH,
    PairBatches,
    TinyEncoders,
    captions_of_pairs,
    contrastive_loss,
    make_pairs,
    train_encoders,
)
from keras_booth.tiny_world.pretrain import retrieval
from keras_booth.tiny_world.scenes import caption, render
from keras_booth.tools.errors import InputError
from tests.helpers.arrays import array

COUNT = 12


@pytest.fixture(scope="module")
def pairs():
    return make_pairs(COUNT, seed=0)


@pytest.fixture(scope="module")
def pictures(pairs):
    return np.stack([np.stack([render(scene) for scene in pair]) for pair in pairs])


@pytest.fixture(scope="module")
def trained(pairs, pictures):
    return train_encoders(pictures, captions_of_pairs(pairs, 0), steps=60, batch_size=8)


def test_loss_of_two_pairs():
    """Partners alike and strangers at right angles: what is left is the softmax of two."""
    vectors = np.eye(2, dtype="float32") * 3
    expected = np.log(1 + np.exp(-1 / TEMPERATURE))
    assert array(contrastive_loss(vectors, vectors)) == pytest.approx(expected, abs=1e-6)
    assert array(contrastive_loss(vectors, vectors[::-1])) == pytest.approx(1 / TEMPERATURE, rel=1e-4)


def test_loss_of_equal_vectors_is_that_of_chance():
    assert array(contrastive_loss(np.ones((5, 3), "float32"), np.ones((5, 3), "float32"))) == pytest.approx(np.log(5))


def test_pairs_share_their_look_and_nothing_else(pairs):
    for one, other in pairs:
        assert one.look == other.look
        assert one.setting != other.setting and one.seed != other.seed
    assert pairs == make_pairs(COUNT, seed=0) != make_pairs(COUNT, seed=1)


def test_batches(pairs, pictures):
    """The second half has the partners of the first; the same index is the same batch."""
    tokens = np.arange(COUNT * 2 * 4).reshape(COUNT, 2, 4, 1).repeat(LENGTH, axis=-1)
    batches = PairBatches(pictures, tokens, steps=3, size=5, seed=0)
    ((batch,), (again,), (other,)) = (batches[index] for index in (1, 1, 2))
    assert batch["pictures"].shape == (10, *pictures.shape[2:])
    for name in batch:
        np.testing.assert_array_equal(batch[name], again[name])
    assert not np.array_equal(batch["tokens"], other["tokens"])
    of_pair, of_picture = batch["tokens"][:, 0] // 8, batch["tokens"][:, 0] // 4 % 2
    np.testing.assert_array_equal(of_pair[:5], of_pair[5:])
    assert of_picture.tolist() == [0] * 5 + [1] * 5


def test_learns(trained, pairs, pictures):
    """A few pictures by heart, far above chance."""
    found = retrieval(trained, pictures, [caption(one) for one, _ in pairs])
    assert found["looks"] >= 0.4
    assert found["captions"] >= 0.25


def test_save_and_load(trained, pictures, tmp_path):
    trained.save(tmp_path / "encoders.safetensors")
    loaded = TinyEncoders.load(tmp_path / "encoders.safetensors")
    for name, vectors in trained.images(pictures[:, 0]).items():
        assert vectors.shape == (COUNT, WIDTH)
        np.testing.assert_array_equal(loaded.images(pictures[:, 0])[name], vectors)
    np.testing.assert_array_equal(loaded.texts(["a photo of a dog"]), trained.texts(["a photo of a dog"]))


def test_another_file(tmp_path):
    from safetensors.numpy import save_file

    save_file({"x": np.zeros(3)}, tmp_path / "x.safetensors")
    with pytest.raises(InputError, match="holds no encoders of this version. Received: 1 tensors"):
        TinyEncoders.load(tmp_path / "x.safetensors")
