"""Captions beside photographs."""

import json

import numpy as np
import pytest

from keras_booth.data import PhotoError, PhotoSet, photo_dataset


@pytest.fixture
def folder(write_values):
    return write_values("photos", [10, 20, 30])


def captions_of(folder):
    return PhotoSet.from_folder(folder, "the prompt", captions=True).prompts


def write_lines(folder, *entries):
    (folder / "metadata.jsonl").write_text("\n".join(json.dumps(entry) for entry in entries) + "\n")


def test_text_files(folder):
    (folder / "020.txt").write_text("a photo of sks dog\n  in the snow\n")
    assert captions_of(folder) == ("the prompt", "a photo of sks dog in the snow", "the prompt")
    assert PhotoSet.from_folder(folder, "the prompt").prompts == ("the prompt",) * 3


@pytest.mark.parametrize("key", ["text", "caption", "prompt"])
def test_metadata(folder, key):
    write_lines(folder, {"file_name": "030.png", key: "thirty"}, {"file_name": "010.png", key: "ten"})
    (folder / "010.txt").write_text("the text file wins")
    assert captions_of(folder) == ("the text file wins", "the prompt", "thirty")


def test_each_picture_comes_with_its_caption(folder, make_booth):
    for value in (10, 20, 30):
        (folder / f"{value:03d}.txt").write_text("x" * value)
    photos = PhotoSet.from_folder(folder, "the prompt", captions=True)
    for batch in photo_dataset(photos, None, make_booth(), batch_size=3).as_numpy_iterator():
        shown = np.round((batch["images"][:, 0, 0, 0] + 1) * 127.5)
        np.testing.assert_array_equal(shown, batch["tokens"][:, 0])  # the test's tokenizer counts letters


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("010.txt", b"", "empty"),
        ("010.txt", b"\xff\xfe\x00", "UTF-8"),
        ("metadata.jsonl", b"not json", "line 1"),
        ("metadata.jsonl", b'{"file_name": "010.png"}', "line 1"),
        ("metadata.jsonl", b'{"file_name": "010.png", "text": "x"}\n["x"]', "line 2"),
        ("metadata.jsonl", b'{"file_name": "gone.png", "text": "x"}', "gone.png"),
        ("metadata.jsonl", b"\xff\xfe\x00", "UTF-8"),
    ],
)
def test_mistakes(folder, name, content, words):
    (folder / name).write_bytes(content)
    with pytest.raises(PhotoError) as caught:
        captions_of(folder)
    assert words in str(caught.value) and name in str(caught.value)


def test_one_caption_a_photo(folder):
    with pytest.raises(PhotoError, match="1 captions, 3 photos"):
        PhotoSet(sorted(folder.glob("*.png")), "the prompt", ("one",))
