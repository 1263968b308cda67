"""Ordinary files, of a stated size."""

import os
import socket

import pytest

from keras_booth.tools.errors import InputError
from keras_booth.tools.files.reading import open_ordinary, read_ordinary, size_text
from keras_booth.tools.files.writing import read_text


def test_the_size_is_a_limit(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    assert read_ordinary(tmp_path / "a", 5) == b"12345"
    with pytest.raises(OSError, match="it is larger than 4 bytes"):
        read_ordinary(tmp_path / "a", 4)
    with pytest.raises(InputError, match=r"field cannot be read \(it is larger than 4 bytes\). Received: field="):
        read_text(tmp_path / "a", "field", most=4)


@pytest.mark.parametrize("kind", ["pipe", "socket", "zero", "folder", "missing", "loop", "NUL", "long"])
def test_anything_else_ends_at_once(tmp_path, kind):
    path = tmp_path / "a"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    elif kind == "zero":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    path = {"NUL": "a\0b", "long": "a" * 5000}.get(kind, path)
    with pytest.raises(OSError) as caught:
        open_ordinary(path)
    assert caught.value.strerror
    with pytest.raises(InputError, match=r"^field cannot be read \(.+\). Received: field="):
        read_text(path, "field")


def test_line_ends_are_as_python_reads_them(tmp_path):
    (tmp_path / "a").write_bytes("\ufeffa\r\nb\rc\n".encode())
    assert read_text(tmp_path / "a", "field") == "a\nb\nc\n"


def test_sizes_in_words():
    assert [size_text(size) for size in (5, 2**18, 3 * 2**19, 2**30)] == ["5 bytes", "256 KiB", "1.5 MiB", "1 GiB"]
