"""Captions that lie beside photographs: `NAME.txt`, or `metadata.jsonl` for a whole folder."""

import contextlib
import json
import logging
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from keras_booth.data.errors import PhotoError
from keras_booth.tools.files.writing import read_text
from keras_booth.tools.prompts import unfit
from keras_booth.tools.wording import names, plural, shown

logger = logging.getLogger("keras_booth")

METADATA = "metadata.jsonl"
MOST_CAPTION = 2**20  # bytes of a NAME.txt
MOST_METADATA = 64 * 2**20  # bytes: a line for each of half a million photographs
KEYS = ("text", "caption", "prompt")
# What a caption is called elsewhere, and by mistake (Windows hides the second suffix of 1.jpg.txt).
SIMILAR_SUFFIXES = {".txt", ".text", ".caption", ".cap", ".tags", ".json", ".csv", ".md", ".rtf", ".doc", ".docx"}
SIMILAR_NAMES = {"metadata.csv", "metadata.json", "metadata.parquet", "captions.txt", "captions.json", "captions.csv"}


@dataclass(frozen=True)
class Captions:
    """The captions of some photographs.

    Args:
        texts: Dict of strings by the `Path` of their photograph.
        missing: List of `Path` of photographs without one.
        similar: List of `Path` of files that may have been meant as captions of those, but are not read.
        alike: Dict of `Path` of captions whose names only nearly fit, 1.TXT, by that of their photograph.
        strangers: List of strings, what a `metadata.jsonl` names that is not among the photographs.
    """

    texts: dict[Path, str]
    missing: list[Path]
    similar: list[Path]
    alike: dict[Path, Path]
    strangers: list[str]

    def complaints(self, default: str) -> list[str]:
        """List of sentences: what a user may not have meant, when photographs without a caption get `default`."""
        found = []
        if self.missing:
            verbs = plural(self.missing, "has no caption, and gets", "have no caption, and get")
            found.append(f"{names(self.missing)} {verbs} {default!r}.")
        if self.similar:
            verb, photo = plural(self.similar, "is", "are"), self.missing[0]
            right = f"the caption of {photo.name} is {photo.stem}.txt, or a line of {METADATA}"
            found.append(f"{names(self.similar)} {verb} not read: {right}.")
        for photo, text in self.alike.items():
            found.append(f"{text.name} is taken as the caption of {photo.name}.")
        if self.strangers:
            found.append(
                f"{METADATA} has captions for {names(self.strangers)}, but photos are taken from the folder itself."
            )
        return found


def read_captions(paths: Sequence[Path], default: str) -> list[str]:
    """Finds the caption of each photograph.

    One warning on the logger `"keras_booth"` names the photographs that have none.

    Args:
        paths: Sequence of `Path`.
        default: String, for a photograph without a caption.

    Returns:
        List of strings: the text of `NAME.txt` beside `NAME.jpg`; else what a `metadata.jsonl` of the folder says, in
        the format of Hugging Face's image folders: a line `{"file_name": "NAME.jpg", "text": "a photo of …"}` a photo.

    Raises:
        PhotoError: If a caption file cannot be read, is empty, or names a photograph that is not there.
    """
    captions = find_captions(paths)
    for complaint in captions.complaints(default):
        logger.warning("%s", complaint)
    return [captions.texts.get(path, default) for path in paths]


def find_captions(paths: Sequence[Path]) -> Captions:
    """The captions of some photographs, and what else may have been meant as such: `Captions`.

    Raises:
        PhotoError: As `read_captions`.
    """
    texts, similar, alike, strangers = {}, [], {}, []
    for folder in dict.fromkeys(path.parent for path in paths):
        mine = {path: None for path in paths if path.parent == folder}
        beside = Beside(mine)
        listed = read_metadata(beside.metadata) if beside.metadata else {}
        found = {path: read_caption(text) for path, text in beside.texts.items()}
        texts |= {path: caption for path, caption in listed.items() if path in mine} | found
        strangers += [os.path.relpath(path, folder) for path in listed if path not in mine]
        alike |= beside.alike
        similar += beside.similar([path for path in mine if path not in texts])
    return Captions(texts, [path for path in paths if path not in texts], similar, alike, strangers)


def caption_files(paths: Sequence[Path]) -> list[Path]:
    """List of `Path` of the files that hold captions of some photographs."""
    found = []
    for folder in dict.fromkeys(path.parent for path in paths):
        beside = Beside({path: None for path in paths if path.parent == folder})
        found += [*beside.texts.values(), *([beside.metadata] if beside.metadata else [])]
    return found


class Beside:
    """What lies beside photographs of one folder.

    Args:
        photos: Dict or set of `Path`, at least one.

    Attributes:
        texts: Dict of the `Path` of `NAME.txt` by that of its photograph; `NAME.TXT` is one too, as on Windows.
        alike: Those of `texts` that are written differently from `NAME.txt`.
        metadata: `Path` of the folder's `metadata.jsonl`, or `None`.
    """

    def __init__(self, photos: Collection[Path]):
        folder = next(iter(photos)).parent
        self.files = sorted(path for path in folder.iterdir() if path not in photos) if folder.is_dir() else []
        exact = {path.name: path for path in self.files}
        taken = {photo.with_suffix(".txt").name for photo in photos}
        nearly = {path.name.lower(): path for path in self.files if path.name not in taken}
        self.texts = {}
        for photo in photos:
            name = photo.with_suffix(".txt").name
            text = exact.get(name) or nearly.get(name.lower())
            if text and text.is_file():
                self.texts[photo] = text
        self.alike = {photo: text for photo, text in self.texts.items() if text.name not in taken}
        self.metadata = exact.get(METADATA) or nearly.get(METADATA)

    def similar(self, photos: Sequence[Path]) -> list[Path]:
        """List of `Path` of what may have been meant as the captions of some of them."""
        starts = tuple(f"{photo.stem}.".lower() for photo in photos)
        return [
            path
            for path in self.files
            if path not in self.texts.values()
            and (
                (path.suffix.lower() in SIMILAR_SUFFIXES and path.name.lower().startswith(starts))
                or (photos and path.name.lower() in SIMILAR_NAMES)
            )
        ]


def read_caption(path: Path) -> str:
    """The caption in a text file, on one line."""
    caption = " ".join(read_text(path, "caption", PhotoError, MOST_CAPTION).split())
    if not caption:
        raise PhotoError(f"The caption is empty: write one, or delete the file. Received: '{path}'")
    return check_caption(caption, f"'{path}'")


def check_caption(caption: str, where: str) -> str:
    """A caption that can be one, or a `PhotoError` that says where it stands."""
    reason = unfit(caption)
    if reason:
        raise PhotoError(f"The caption {reason}: write another. Received: {where}")
    return caption


def read_metadata(path: Path) -> dict[Path, str]:
    """Dict of captions by the `Path` of their photograph."""
    captions, lines = {}, {}
    # Not `splitlines`, which breaks JSON at characters that are allowed in its strings.
    text = read_text(path, "captions", PhotoError, MOST_METADATA)
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            where = f"'{path}', line {number}"
            photo, caption = read_line(line, where)
            found = inside(path.parent, photo, where)
            if found in lines:
                raise PhotoError(f"{photo} has a caption in line {lines[found]} already. Received: {where}")
            captions[found], lines[found] = caption, number
    return captions


def inside(folder: Path, photo: str, where: str) -> Path:
    """The `Path` of a photograph that a `metadata.jsonl` names, which lies in its folder or below."""
    # Windows' programs write sub\1.jpg.
    for name in (photo, photo.replace("\\", "/")):
        # By the name alone: a link in the folder may lead anywhere.
        if os.path.isabs(name) or os.path.normpath(name).split(os.sep)[0] == os.pardir:
            raise PhotoError(f"A caption names a photo outside of its folder: {shown(photo)}. Received: {where}")
        with contextlib.suppress(OSError, ValueError):  # too long a name, or one with a NUL
            if (folder / name).is_file():
                return folder / name
    raise PhotoError(f"A caption names a photo that is not there: {shown(photo)}. Received: {where}")


def read_line(line: str, where: str) -> tuple[str, str]:
    """`(name of the photograph, caption)` of one line of `metadata.jsonl`."""
    try:
        entry = json.loads(line)
        photo = entry["file_name"]
        caption = " ".join(next(entry[key] for key in KEYS if entry.get(key)).split())
    # Whatever `json` meets (it knows three ways to fail), and whatever a line may be in place of an entry.
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError, StopIteration):
        photo = caption = None
    if not isinstance(photo, str) or not caption:
        raise PhotoError(
            f'A line must look like {{"file_name": "1.jpg", "text": "a photo of sks dog"}}. Received: {where}'
        )
    return photo, check_caption(caption, where)
