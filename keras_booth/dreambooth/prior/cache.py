"""A set of class images on disk, shared by all runs: which of its files are whole, and who may write them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import pathlib
import re
import sys
from typing import TYPE_CHECKING

import filelock
import numpy as np
from PIL import Image

from keras_booth.data import PhotoSet
from keras_booth.tools.errors import InputError, sentence
from keras_booth.tools.files.paths import OWN_CACHE, cache_folder
from keras_booth.tools.files.reading import read_ordinary
from keras_booth.tools.files.writing import require_room, room, writing
from keras_booth.version import __version__

if TYPE_CHECKING:
    from keras_booth.dreambooth.model import DreamBooth

MANIFEST_FILE, PART = "manifest.jsonl", ".part"
SETS = "class_images"
MOST_MANIFEST = 2**28  # bytes: a million images
MOST_FILE = 2**28  # bytes of a picture, or of its latents
# Bytes of what a folder's name says of its prompt: with the digest the name has 253, of the 255 that disks allow.
MOST_WORDS = 240


def digest(content):
    """Hexadecimal digest of bytes."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def check_cache(needed: float) -> None:
    """Refuses a cache that cannot be written, before anything heavy is done.

    Args:
        needed: float. Bytes of the class images, which may be there already.

    Raises:
        InputError: if it is no folder, or may not be written.
        OSError: if its disk has clearly not the room.
    """
    folder = cache_folder().absolute()
    received = f"Received: {OWN_CACHE}={os.environ.get(OWN_CACHE)!r}"
    try:
        nearest = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
        usable = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
    except (OSError, ValueError) as error:
        raise InputError(f"The cache of class images must be a folder ({sentence(error)}). {received}") from error
    if not usable:
        raise InputError(f"The cache of class images must be a folder that can be written: {nearest}. {received}")
    if needed > room(folder) + folder_bytes(folder / SETS):
        require_room(folder, {"class images": needed}, f"set {OWN_CACHE} to a folder with more, or draw fewer of them")


def folder_bytes(folder):
    """Bytes of all files in a folder and the folders in it."""
    return sum(path.stat().st_size for path in folder.glob("*/*") if path.is_file())


def set_bytes(booth: DreamBooth, count: int) -> float:
    """About how many bytes the files of a set take: pictures, which PNG makes smaller by a third, and latents."""
    (height, width), latents = booth.image_size, booth.base.latent_shape
    return count * (2 * height * width + 4 * int(np.prod(latents)))


def write_whole(path, content):
    """Write bytes under a temporary name until they are whole. Under the lock: the name is the same for everyone, so
    that what a killed process left behind is written over, or goes with the next `locked`."""
    part = path.with_name(f"{path.name}{PART}")
    with writing(path):
        try:
            part.write_bytes(content)
        except OSError:
            part.unlink(missing_ok=True)  # on a disk that is full it would take what room is left
            raise
        part.replace(path)


def png_bytes(picture):
    """A uint8 picture, losslessly."""
    with io.BytesIO() as file:
        Image.fromarray(picture).save(file, format="png")
        return file.getvalue()


def npy_bytes(array):
    """An array as NumPy's file format."""
    with io.BytesIO() as file:
        np.save(file, array)
        return file.getvalue()


def parse_manifest(text):
    """Lines of JSON -> dict of entries by index. What is no entry, such as a torn line, is left out."""
    entries = {}
    for line in text.split("\n"):
        # Infinity is a number to `json`, and what is very deep is no `ValueError`.
        with contextlib.suppress(ValueError, KeyError, TypeError, OverflowError, RecursionError):
            entry = json.loads(line)
            entries[int(entry["index"])] = entry
    return entries


class ClassCache:
    """The files of one set: pictures `00000.png`, their latents `00000.npy`, and the manifest that vouches for them.

    The manifest has one line of JSON an image: `file`, `seed`, `index`, `prompt`, `version` (keras_booth's), and
    digests of both files' bytes (BLAKE2b of 16 bytes), `picture` and `latents`. An image counts only while its files
    match its line. The line is written last, and the manifest is always replaced as a whole, so that a kill at any
    moment loses no more than the images at hand.

    Args:
        description: JSON-serializable dict, all that the images depend on, `seed` and `prompt` among it, a str or a
            list of str that take turns. Other descriptions are other sets.
        folder: path under which the set gets a folder named after its description; `None` for the cache.
    """

    def __init__(self, description, folder=None):
        prompt, self.seed = description["prompt"], description["seed"]
        self.prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        self.description = json.dumps(description, indent=1, sort_keys=True)
        words = "_".join(re.findall(r"\w+", self.prompts[0].removeprefix("a photo of "))[:4])
        words = words.encode(errors="replace")[:MOST_WORDS].decode(errors="ignore")  # the digest tells them apart
        name = f"{words}-{hashlib.blake2b(self.description.encode(), digest_size=6).hexdigest()}"
        self.folder = pathlib.Path(folder or cache_folder() / SETS) / name

    def prompt_of(self, index):
        """What an image shows."""
        return self.prompts[index % len(self.prompts)]

    def picture_path(self, index):
        """Where a picture is, or will be."""
        return self.folder / f"{index:05d}.png"

    def latents_path(self, index):
        """Where the latents of a picture are, or will be."""
        return self.folder / f"{index:05d}.npy"

    def photo_set(self, count):
        """The first `count` images as a `PhotoSet` with latents."""
        pictures, latents = (tuple(map(at, range(count))) for at in (self.picture_path, self.latents_path))
        captions = tuple(map(self.prompt_of, range(count))) if len(self.prompts) > 1 else ()
        return PhotoSet(pictures, self.prompts[0], captions, latents)

    def missing(self, count):
        """list of the indices below `count` whose files are not there, or not as they were written."""
        entries = self._read_manifest()
        return [index for index in range(count) if not self._is_whole(index, entries.get(index, {}))]

    def add(self, images):
        """Write images. Only in `locked`.

        Args:
            images: dict of `(picture, latents)` by index: uint8 `(H, W, 3)`, float32 `(h, w, c)`.
        """
        entries = self._read_manifest()
        for index, (picture, latents) in images.items():
            picture, latents = png_bytes(picture), npy_bytes(latents)
            write_whole(self.latents_path(index), latents)
            write_whole(self.picture_path(index), picture)
            entries[index] = self._entry(index, picture, latents)
        lines = [json.dumps(entries[index]) + "\n" for index in sorted(entries)]
        write_whole(self.folder / MANIFEST_FILE, "".join(lines).encode())

    @contextlib.contextmanager
    def locked(self):
        """The right to write the set, for one process at a time.

        The system takes the lock away from a process that ends, however it ends. Who has to wait says so on stderr.
        """
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(self.folder / "lock")
        try:
            held = lock.acquire(blocking=False)
        except filelock.Timeout:
            print(f"Waiting for another process that draws class images in {self.folder}", file=sys.stderr, flush=True)
            held = lock.acquire(poll_interval=0.2)
        with held:
            self._remove_parts()
            write_whole(self.folder / "description.txt", self.description.encode())
            yield

    def tidy(self):
        """Remove what a killed process was writing, unless another one is at work here."""
        if any(self.folder.glob(f"*{PART}")):
            with contextlib.suppress(filelock.Timeout), filelock.FileLock(self.folder / "lock").acquire(blocking=False):
                self._remove_parts()

    def _remove_parts(self):
        for part in self.folder.glob(f"*{PART}"):
            part.unlink(missing_ok=True)

    def _entry(self, index, picture, latents):
        return {
            "file": self.picture_path(index).name,
            "seed": self.seed,
            "index": index,
            "prompt": self.prompt_of(index),
            "picture": digest(picture),
            "latents": digest(latents),
            "version": __version__,
        }

    def _is_whole(self, index, entry):
        files = {"picture": self.picture_path(index), "latents": self.latents_path(index)}
        try:
            return all(digest(read_ordinary(path, MOST_FILE)) == entry.get(name) for name, path in files.items())
        except FileNotFoundError:
            return False

    def _read_manifest(self):
        try:
            content = read_ordinary(self.folder / MANIFEST_FILE, MOST_MANIFEST)
            return parse_manifest(content.decode("utf-8", errors="replace"))
        except FileNotFoundError:
            return {}
