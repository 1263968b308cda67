"""Captions that lie beside photographs: `NAME.txt`, or `metadata.jsonl` for a whole folder."""

import json
from pathlib import Path

from keras_booth.data.errors import PhotoError

METADATA = "metadata.jsonl"
KEYS = ("text", "caption", "prompt")


def read_captions(paths, default):
    """Finds the caption of each photograph.

    Args:
        paths: Sequence of `Path`.
        default: String, for a photograph without a caption.

    Returns:
        List of strings: the text of `NAME.txt` beside `NAME.jpg`; else what a `metadata.jsonl` of the folder says, in
        the format of Hugging Face's image folders: a line `{"file_name": "NAME.jpg", "text": "a photo of …"}` a photo.

    Raises:
        PhotoError: If a caption file cannot be read, is empty, or names a photograph that is not there.
    """
    listed = {}
    for folder in {path.parent for path in paths}:
        if (folder / METADATA).is_file():
            listed |= read_metadata(folder / METADATA)
    return [read_text(path.with_suffix(".txt")) or listed.get(path) or default for path in paths]


def read_text(path):
    """The caption in a text file, on one line; `None` if there is no such file."""
    if not path.is_file():
        return None
    try:
        caption = " ".join(path.read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError) as error:
        raise PhotoError(f"The caption cannot be read: save it as UTF-8 text. Received: '{path}' ({error})") from error
    if not caption:
        raise PhotoError(f"The caption is empty: write one, or delete the file. Received: '{path}'")
    return caption


def read_metadata(path):
    """Dict of captions by the `Path` of their photograph."""
    captions = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PhotoError(
            f"The captions cannot be read: save them as UTF-8 text. Received: '{path}' ({error})"
        ) from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            photo, caption = read_line(line, f"'{path}', line {number}")
            if not (path.parent / photo).is_file():
                raise PhotoError(
                    f"A caption names a photo that is not there: {photo}. Received: '{path}', line {number}"
                )
            captions[path.parent / Path(photo)] = caption
    return captions


def read_line(line, where):
    """`(name of the photograph, caption)` of one line of `metadata.jsonl`."""
    try:
        entry = json.loads(line)
        caption = next(str(entry[key]) for key in KEYS if entry.get(key))
        return str(entry["file_name"]), " ".join(caption.split())
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise PhotoError(
            f'A line must look like {{"file_name": "1.jpg", "text": "a photo of sks dog"}}. Received: {where}'
        ) from error
