"""Files that somebody else made: plain, small enough, JSON, zip."""

import json
import os
import zipfile

import pytest

from keras_booth.tools.errors import CheckpointError, InputError
from keras_booth.tools.files.json_files import LONGEST, read_json
from keras_booth.tools.files.plain_files import read_bytes, require_plain
from keras_booth.tools.files.zip_files import ZipMembers
from keras_booth.tools.wording import shown


def test_plain(tmp_path):
    path = tmp_path / "x"
    for make, words in (
        (lambda: None, "is missing"),
        (path.mkdir, "is a folder"),
        (lambda: os.mkfifo(path), "is a pipe or a device"),
        (lambda: path.symlink_to("/dev/zero"), "is a pipe or a device"),
        (lambda: path.symlink_to(path), "cannot be reached"),
    ):
        make()
        with pytest.raises(CheckpointError, match=f"The picture {words}.* Received: .*x") as error:
            require_plain(path, "The picture", CheckpointError)
        assert "\n" not in str(error.value)
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
    with pytest.raises(InputError, match="cannot be reached"):
        require_plain("a\0b")
    path.write_bytes(b"12345")
    assert require_plain(path) == 5 and read_bytes(path, 5) == b"12345"
    with pytest.raises(InputError, match=r"larger than the 4e-06 MB.* Received: list=.*x$"):
        read_bytes(path, 4, field="list")


@pytest.mark.parametrize(
    "content, words",
    [
        (b"{", "not valid JSON"),
        (b"\xff", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[]", r"must hold a JSON object, not \[\]"),
        (b'{"a": Infinity}', "Infinity is no number"),
        (b'{"a": -1e400}', "is no number"),
        (b'{"a": 1, "b": 2, "a": 3}', "'a' is there twice"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not valid JSON"),
    ],
)
def test_json(tmp_path, content, words):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"{words}.* Received: {path}$") as error:
        read_json(path)
    assert len(str(error.value)) < 300 + len(str(path))


def test_json_as_it_should_be(tmp_path):
    path = tmp_path / "x.json"
    for encoding in ("utf-8", "utf-8-sig"):
        path.write_text('{"a": [1, 2.5, null, "ä"], "b": {"a": 1}}', encoding=encoding)
        assert read_json(path) == {"a": [1, 2.5, None, "ä"], "b": {"a": 1}}
    with path.open("wb") as file:
        file.truncate(LONGEST + 1)  # takes no room on the disk
    with pytest.raises(InputError, match="larger than the 64 MB"):
        read_json(path)


def test_every_bit_of_the_headers_of_a_zip(tmp_path):
    """Each is flipped in turn: what is read is what was written, or it is one sentence."""
    path, content = tmp_path / "x.zip", {"a.json": json.dumps({"a": 1}).encode(), "b/c.txt": b"text" * 20}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    whole = path.read_bytes()
    inside = [index for data in content.values() for index in range(whole.find(data), whole.find(data) + len(data))]
    refused = 0
    for place in sorted(set(range(len(whole))) - set(inside)):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            try:
                members = ZipMembers(path, "archive")
                members.verify()
                found = {name: members.read(name, 1000) for name in members.infos}
                for name, data in found.items():
                    with members.seekable(name) as file:
                        assert file.read() == data
            except InputError as error:
                refused += 1
                assert str(error).endswith(f"Received: {path}") and "\n" not in str(error)
            else:
                # A member may be gone, or have another name; who wants it by its name is told so.
                assert set(found.values()) <= set(content.values())
    assert refused > 500


def test_a_member_is_read_here_and_there(tmp_path):
    path, data = tmp_path / "x.zip", bytes(range(256)) * 10
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(path, "w", compression) as archive:
            archive.writestr("first", b"something before it")
            archive.writestr("x", data)
            archive.writestr("last", b"something behind it")
        with ZipMembers(path).seekable("x") as file:
            assert file.read() == data and file.read() == b""
            file.seek(300)
            assert file.read(5) == data[300:305] and file.tell() == 305
            file.seek(-3, os.SEEK_END)
            assert file.read(100) == data[-3:]
            file.seek(5000)
            assert file.read(1) == b""
        with pytest.raises(InputError, match=r"x in the file has more than 0\.001 MB"):
            ZipMembers(path).read("x", 1000)
        with pytest.raises(InputError, match="it lacks y"):
            ZipMembers(path).read("y", 1000)


def test_what_is_shown_is_short():
    deep = value = []
    for _ in range(500):
        value.append([])
        value = value[0]
    for long in ("x" * 10_000, list(range(10_000)), {"a": "x" * 10_000, "b": deep}, 10**1000, deep):
        assert len(shown(long)) < 130
    assert shown("short") == "'short'" and shown([1, None]) == "[1, None]"
