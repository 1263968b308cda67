"""Digests of photographs."""

import hashlib

import pytest

from keras_booth.data import PhotoError, photo_digests


def test_digests_follow_the_bytes(tmp_path):
    one, two = tmp_path / "1.jpg", tmp_path / "2.jpg"
    one.write_bytes(b"one")
    two.write_bytes(b"two")
    before = photo_digests([one, two])
    assert before == {
        "1.jpg": hashlib.blake2b(b"one", digest_size=16).hexdigest(),
        "2.jpg": hashlib.blake2b(b"two", digest_size=16).hexdigest(),
    }
    two.write_bytes(b"one")
    after = photo_digests([one, two])
    assert after["1.jpg"] == before["1.jpg"] == after["2.jpg"]


def test_a_photo_that_is_gone(tmp_path):
    with pytest.raises(
        PhotoError, match=r"cannot be opened \(No such file or directory\). Received: path='.*gone.jpg'$"
    ):
        photo_digests([tmp_path / "gone.jpg"])
