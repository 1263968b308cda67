import dataclasses

import pytest

from keras_booth.data import PhotoSet
from keras_booth.tools.errors import InputError
from keras_booth.workflow.training.same_photos import (
    check_digests,
    digest_pictures,
    refuse_other_pictures,
    write_digests,
)


@pytest.fixture
def sets(tmp_path):
    for kind in ("photos", "own"):
        (tmp_path / kind).mkdir()
        for name in ("1.png", "2.png"):
            (tmp_path / kind / name).write_bytes(f"{kind} {name}".encode())
    return lambda: [(PhotoSet(tuple(sorted((tmp_path / kind).iterdir())), "a dog"),) for kind in ("photos", "own")]


@pytest.mark.parametrize("own", [True, False])
def test_the_same(tmp_path, sets, own):
    photos, class_images = sets()
    digests = digest_pictures(photos, class_images if own else (None,))
    check_digests(tmp_path, digests)  # a run of an earlier version keeps none
    write_digests(tmp_path, digests)
    check_digests(tmp_path, digests)


@pytest.mark.parametrize(
    "change, names",
    [
        (lambda folder: (folder / "photos" / "1.png").write_bytes(b"other"), "1.png of photos of subject 1"),
        (lambda folder: (folder / "photos" / "2.png").unlink(), "2.png of photos of subject 1"),
        (lambda folder: (folder / "photos" / "3.png").write_bytes(b""), "3.png of photos of subject 1"),
        (lambda folder: (folder / "own" / "1.png").write_bytes(b"other"), "1.png of class images of subject 1"),
    ],
)
def test_named_when_they_are_not(tmp_path, sets, change, names):
    write_digests(tmp_path, digest_pictures(*sets()))
    change(tmp_path)
    with pytest.raises(InputError, match=f"Changed, gone or new: {names}. Received: --resume {tmp_path}"):
        check_digests(tmp_path, digest_pictures(*sets()))


def test_damaged(tmp_path, sets):
    (tmp_path / "photos.json").write_text("[1")
    with pytest.raises(InputError, match="digests .* damaged. Received: .*photos.json"):
        check_digests(tmp_path, digest_pictures(*sets()))


def test_captions_count(sets):
    photos, _ = sets()
    found = digest_pictures([dataclasses.replace(photos[0], captions=("a dog", "a dog running"))], [None])
    other = digest_pictures([dataclasses.replace(photos[0], captions=("a dog", "a dog asleep"))], [None])
    refuse_other_pictures(found, found, "run")
    with pytest.raises(InputError, match=": 2.png of captions of photos of subject 1. Received: --resume run"):
        refuse_other_pictures(found, other, "run")
