"""Captions beside photographs."""

import json
import os

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
        ("metadata.jsonl", b'{"file_name": "../photos/010.png", "text": "x"}', "outside of its folder"),
        ("metadata.jsonl", b'{"file_name": "a/../../photos/010.png", "text": "x"}', "outside of its folder"),
        ("metadata.jsonl", b'{"file_name": "..\\\\photos\\\\010.png", "text": "x"}', "outside of its folder"),
        ("metadata.jsonl", b'{"file_name": "/etc/passwd", "text": "x"}', "outside of its folder"),
        ("metadata.jsonl", b'{"file_name": "a\\u0000", "text": "x"}', "not there"),
        ("metadata.jsonl", b'{"file_name": "%s", "text": "x"}' % (b"a" * 5000), "not there"),
        ("metadata.jsonl", b'{"file_name": "010.png", "text": "x"}\n' * 2, "line 1 already"),
        ("metadata.jsonl", b'{"file_name": "010.png", "text": "   "}', "line 1"),
        ("metadata.jsonl", b'{"file_name": "010.png", "text": ["x"]}', "line 1"),
        ("metadata.jsonl", b'{"file_name": 5, "text": "x"}', "line 1"),
        ("metadata.jsonl", b'{"file_name": "010.png", "text": "\\ud800"}', "UTF-8"),
        ("metadata.jsonl", b"[" * 100_000, "line 1"),
        ("metadata.jsonl", b"9" * 5000, "line 1"),
        ("010.txt", b"a\0b", "NUL"),
        ("010.txt", b"x" * 100_001, "100000 characters"),
        ("010.txt", b"x " * 2**19 + b"x", "1 MiB"),
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


MARK = "\ufeff"


@pytest.mark.parametrize(
    "name, content",
    [
        ("020.txt", f"{MARK}a photo of sks dog\r\nin the snow\r\n"),
        ("metadata.jsonl", MARK + '{"file_name": "020.png", "text": "a photo of sks dog in the snow"}\r\n\r\n'),
        ("metadata.jsonl", '{"file_name": "./020.png", "text": "a photo of sks dog\u2028in the\u0085snow"}\n'),
        ("metadata.jsonl", '{"file_name": ".\\\\020.png", "text": "a photo of sks dog in the snow"}\n'),
        ("020.TXT", "a photo of sks dog in the snow"),
        ("METADATA.jsonl", '{"file_name": "020.png", "text": "a photo of sks dog in the snow"}'),
    ],
)
def test_as_windows_and_others_write_them(folder, name, content, caplog):
    (folder / name).write_bytes(content.encode())
    assert captions_of(folder)[1] == "a photo of sks dog in the snow"
    assert not any("Ignored" in text for text in caplog.messages)
    # A name that nearly fits is taken, and said to be.
    assert any("020.TXT is taken as the caption of 020.png" in text for text in caplog.messages) == (name == "020.TXT")


def test_photographs_without_a_caption_are_named(folder, caplog):
    (folder / "010.txt").write_text("ten")
    for name in ("020.caption", "020.png.txt", "metadata.csv", "other.caption"):
        (folder / name).write_text("twenty")
    assert captions_of(folder) == ("ten", "the prompt", "the prompt")
    assert "020.png, 030.png have no caption, and get 'the prompt'." in caplog.messages
    similar = next(text for text in caplog.messages if "not read" in text)
    assert similar.startswith("020.caption, 020.png.txt, metadata.csv are not read: the caption of 020.png is 020.txt")
    assert not any("Ignored" in text and "010.txt" in text for text in caplog.messages)


def test_nothing_is_said_when_each_has_one(folder, caplog):
    for name in ("010.txt", "020.txt", "030.txt"):
        (folder / name).write_text("a caption")
    assert captions_of(folder) == ("a caption",) * 3
    assert not caplog.messages
    assert PhotoSet.from_folder(folder, "the prompt").prompts == ("the prompt",) * 3
    (message,) = caplog.messages
    assert message == f"Captions in {folder} are not used: 010.txt, 020.txt, 030.txt. Take them with captions=True."


def test_metadata_of_a_subfolder(folder, caplog):
    (folder / "more").mkdir()
    (folder / "020.png").rename(folder / "more" / "020.png")
    write_lines(folder, {"file_name": "more/020.png", "text": "twenty"}, {"file_name": "010.png", "text": "ten"})
    assert captions_of(folder) == ("ten", "the prompt")
    assert any("metadata.jsonl has captions for more/020.png, but photos are taken" in text for text in caplog.messages)


@pytest.mark.parametrize("name", ["metadata.jsonl", "020.txt"])
@pytest.mark.parametrize("kind", ["pipe", "zero"])
def test_captions_that_never_end(folder, name, kind):
    """A pipe beside a photograph is no caption of it; as the captions of all it is a mistake."""
    os.mkfifo(folder / name) if kind == "pipe" else (folder / name).symlink_to("/dev/zero")
    if name == "020.txt":
        assert captions_of(folder) == ("the prompt",) * 3
    else:
        with pytest.raises(PhotoError, match="no file.* Received: captions="):
            captions_of(folder)


def test_links_to_photographs_elsewhere_have_captions(folder, tmp_path):
    (folder / "020.png").rename(tmp_path / "elsewhere.png")
    (folder / "020.png").symlink_to(tmp_path / "elsewhere.png")
    write_lines(folder, {"file_name": "020.png", "text": "twenty"})
    assert captions_of(folder)[1] == "twenty"


@pytest.mark.parametrize("captions", [("a", " "), ("a", 5), "ab", 5, {"a": "b"}])
def test_captions_are_texts(folder, captions):
    with pytest.raises(ValueError, match="`captions`"):
        PhotoSet(sorted(folder.glob("*.png"))[:2], "the prompt", captions)
