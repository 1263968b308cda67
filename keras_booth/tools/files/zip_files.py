"""Zip files that somebody else made: whole, plain, and no larger inside than a file of their size may be."""

import contextlib
import io
import os
import pathlib
import struct
import zipfile
from collections.abc import Iterator

from keras_booth.tools.annotations import FilePath
from keras_booth.tools.errors import InputError
from keras_booth.tools.files.foreign import parsing
from keras_booth.tools.files.plain_files import require_plain
from keras_booth.tools.wording import shown

MOST_MEMBERS = 1000
EXPANSION = 20  # how many times its own size a file may hold; weights hardly shrink, and Keras does not try
SPARE = 1_000_000  # bytes that a small file may hold beyond that
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # those that Python inflates piece by piece
LOCAL_HEADER = struct.Struct("<4s5H3I2H")


class ZipMembers:
    """The members of a zip file, whose directory has been looked at: no member twice, none that inflates without end.

    Args:
        path: str or `Path`.
        kind: str, what it ought to be.
        error: type of what is raised, a kind of `InputError`.

    Raises:
        InputError: if it is no zip file, damaged, or not a plain one.
    """

    def __init__(self, path: FilePath, kind: str = "zip file", error: type[InputError] = InputError):
        self.path, self.kind, self.error = pathlib.Path(path), kind, error
        size = require_plain(path, error=error)
        with self._opened() as archive:
            infos = archive.infolist()
        self.infos = {info.filename: info for info in infos}
        if len(infos) > MOST_MEMBERS:
            raise error(f"The file has {len(infos)} members, more than {MOST_MEMBERS}. Received: {path}")
        if len(self.infos) < len(infos):
            raise error(f"The file has two members of one name. Received: {path}")
        inside, most = sum(info.file_size for info in infos), EXPANSION * size + SPARE
        if inside > most:
            raise error(
                f"The file would inflate to {inside / 1e6:.0f} MB, and one of its size may hold {most / 1e6:.0f} MB. "
                f"Received: {path}"
            )
        for info in infos:
            if info.compress_type not in METHODS:
                raise error(
                    f"The file has a member, {shown(info.filename)}, of an unusual compression. Received: {path}"
                )
            if info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size:
                raise error(f"The file is damaged: {shown(info.filename)} in it has two sizes. Received: {path}")

    @contextlib.contextmanager
    def _opened(self) -> Iterator[zipfile.ZipFile]:
        """The file, for calls of zipfile alone: whatever they throw becomes one sentence."""
        what = f"The file is damaged or truncated, or no {self.kind}"
        with (
            parsing(lambda reason: self.error(f"{what} ({reason}). Received: {self.path}")),
            zipfile.ZipFile(self.path) as archive,
        ):
            yield archive

    def read(self, name: str, most: int) -> bytes:
        """The content of a member.

        Args:
            name: str.
            most: int, the number of bytes that it may have.

        Raises:
            InputError: if it is missing, larger or damaged.
        """
        self.require(name)
        if self.infos[name].file_size > most:
            raise self.error(f"{name} in the file has more than {most / 1e6:g} MB. Received: {self.path}")
        with self._opened() as archive:
            return archive.read(name)

    def require(self, name: str) -> None:
        """Raises an `InputError` unless there is such a member."""
        if name not in self.infos:
            raise self.error(f"The file is damaged: it lacks {name}. Received: {self.path}")

    def verify(self) -> None:
        """Raises an `InputError` unless all members are what their checksums say; takes a moment for each gigabyte."""
        with self._opened() as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise self.error(f"The file is damaged in {shown(damaged)}. Received: {self.path}")

    @contextlib.contextmanager
    def seekable(self, name: str) -> Iterator[io.IOBase]:
        """A member to read here and there, which zipfile's own object does by reading all before again.

        Yields:
            file object. Of a member that is not compressed it reads the file itself.
        """
        self.require(name)
        info = self.infos[name]
        if info.compress_type != zipfile.ZIP_STORED:
            yield io.BytesIO(self.read(name, info.file_size))
            return
        with open(self.path, "rb") as file:
            file.seek(info.header_offset)
            header = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
            start = info.header_offset + LOCAL_HEADER.size + header[-2] + header[-1]
            yield Window(file, start, info.file_size)


class Window(io.RawIOBase):
    """A part of a file as a file.

    Args:
        file: file object, which others must not move meanwhile.
        start: int, where the part begins.
        size: int, its bytes.
    """

    def __init__(self, file, start, size):
        super().__init__()
        self.file, self.start, self.size, self.place = file, start, size, 0

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=os.SEEK_SET):
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self.place, os.SEEK_END: self.size}[whence]
        self.place = max(0, base + offset)
        return self.place

    def tell(self):
        return self.place

    def readinto(self, buffer):
        view = memoryview(buffer).cast("B")[: max(0, self.size - self.place)]
        self.file.seek(self.start + self.place)
        count = self.file.readinto(view)
        self.place += count
        return count
