import errno
import os

import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.numpy import save_file

from keras_booth.tools.errors import InputError
from keras_booth.tools.files import read_text, umask, whole_file


class TestWholeFile:
    def test_appears_when_done(self, tmp_path):
        with whole_file(tmp_path / "a.txt") as part:
            part.write_text("new")
            assert part.suffix == ".txt"
            assert not (tmp_path / "a.txt").exists()
        assert os.listdir(tmp_path) == ["a.txt"]

    def test_failure_leaves_the_old_one(self, tmp_path):
        (tmp_path / "a.txt").write_text("old")
        with pytest.raises(RuntimeError), whole_file(tmp_path / "a.txt") as part:
            part.write_text("half")
            raise RuntimeError
        assert os.listdir(tmp_path) == ["a.txt"]
        assert (tmp_path / "a.txt").read_text() == "old"

    def test_a_folder(self, tmp_path):
        (tmp_path / "out").mkdir()
        with whole_file(tmp_path / "out") as part:
            part.mkdir()
            (part / "a").write_text("new")
        assert os.listdir(tmp_path) == ["out"] and os.listdir(tmp_path / "out") == ["a"]

    def test_a_folder_that_failed(self, tmp_path):
        with pytest.raises(RuntimeError), whole_file(tmp_path / "out") as part:
            part.mkdir()
            (part / "a").write_text("half")
            raise RuntimeError
        assert os.listdir(tmp_path) == []

    @pytest.mark.parametrize("mask", [0o022, 0o077])
    def test_mode_is_the_umasks(self, tmp_path, mask):
        before = os.umask(mask)
        try:
            with whole_file(tmp_path / "a.safetensors") as part:
                save_file({"a": np.zeros(1)}, part)  # which by itself writes 0600
        finally:
            os.umask(before)
        assert (tmp_path / "a.safetensors").stat().st_mode & 0o777 == 0o666 & ~mask
        assert umask() == before

    @pytest.mark.parametrize(
        "error",
        [
            SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
            OSError(errno.ENOSPC, "No space left on device", "/somewhere/else"),
            OSError("Can't write data (file write failed: errno = 28, error message = 'No space left on device')"),
        ],
    )
    def test_a_full_disk_names_the_file(self, tmp_path, error):
        with pytest.raises(OSError) as caught, whole_file(tmp_path / "a.safetensors") as part:
            part.write_text("half")
            raise error
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "a.safetensors"))
        assert caught.value.strerror == "No space left on device"
        assert os.listdir(tmp_path) == []


class TestReadText:
    @pytest.mark.parametrize("mark", ["", "\ufeff"])
    def test_a_byte_order_mark_is_no_text(self, tmp_path, mark):
        (tmp_path / "a.txt").write_bytes(f"{mark}ein Hündchen\r\n".encode())
        assert read_text(tmp_path / "a.txt", "prompt_file") == "ein Hündchen\n"

    def test_another_encoding(self, tmp_path):
        (tmp_path / "a.txt").write_bytes("ein Hündchen".encode("utf-16"))
        with pytest.raises(InputError, match=r"prompt_file must be text in UTF-8.* Received: prompt_file=.*a\.txt"):
            read_text(tmp_path / "a.txt", "prompt_file")

    def test_no_file(self, tmp_path):
        with pytest.raises(InputError, match=r"cannot be read \(No such file or directory\)"):
            read_text(tmp_path / "a.txt", "prompt_file")
