import errno
import os

import h5py
import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.numpy import save_file

from keras_booth.tools.errors import InputError
from keras_booth.tools.files.writing import read_text, require_room, umask, whole_file, writing
from tests.helpers.full_disk import small_disk


def after(first, error):
    """An error that came of another one."""
    error.__context__ = first
    return error


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
            RuntimeError(
                "Can't decrement id ref count (file write failed: time = Thu, errno = 28, error message = '')"
            ),
            after(
                OSError(errno.ENOSPC, ""), ValueError("Can't close the ZIP file while there is an open handle on it")
            ),
            after(SafetensorError("I/O error: No space left on device (os error 28)"), RuntimeError("not written")),
        ],
    )
    def test_a_full_disk_names_the_file(self, tmp_path, error):
        with pytest.raises(OSError) as caught, whole_file(tmp_path / "a.safetensors") as part:
            part.write_text("half")
            raise error
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "a.safetensors"))
        assert caught.value.strerror == "No space left on device"
        assert os.listdir(tmp_path) == []

    @pytest.mark.parametrize(
        "error",
        [InputError("x must be 1"), ValueError("a fault of ours"), after(FileNotFoundError(2, ""), KeyError("ours"))],
    )
    def test_other_errors_stay_what_they_are(self, tmp_path, error):
        with pytest.raises(type(error)) as caught, whole_file(tmp_path / "a"):
            raise error
        assert caught.value is error

    @pytest.mark.parametrize("number", [errno.EDQUOT, errno.EROFS, errno.EIO])
    def test_what_else_a_disk_says(self, tmp_path, number):
        error = SafetensorError(f"Error while serializing: I/O error: {os.strerror(number)} (os error {number})")
        with pytest.raises(OSError) as caught, writing(tmp_path / "a"):
            raise error
        assert (caught.value.errno, caught.value.strerror) == (number, os.strerror(number))

    def test_a_name_as_long_as_can_be(self, tmp_path):
        path = tmp_path / ("x" * 251 + ".txt")
        with whole_file(path) as part:
            part.write_text("new")
        assert path.read_text() == "new"


@pytest.mark.parametrize("library", ["safetensors", "numpy", "h5py"])
def test_a_small_disk(tmp_path, library):
    """What each library makes of it; a new file and an old one."""
    array = np.random.default_rng(0).random(400_000)
    with small_disk(tmp_path / "disk", 1024) as disk:
        path = disk.folder / f"a.{library}"
        for before in (b"", b"old"):
            if before:
                path.write_bytes(before)
            with pytest.raises(OSError) as caught, whole_file(path) as part:
                if library == "safetensors":
                    save_file({"a": array}, part)
                elif library == "numpy":
                    with part.open("wb") as file:
                        np.save(file, array)
                else:
                    with h5py.File(part, "w") as file:
                        file["a"] = array
            assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
            assert os.listdir(disk.folder) == ([path.name] if before else [])
        assert path.read_bytes() == b"old"


def test_room(tmp_path):
    with small_disk(tmp_path / "disk", 1024) as disk:
        folder = disk.folder / "not" / "there"
        require_room(folder, {"the model": 1_000_000})
        with pytest.raises(
            OSError, match=r"about 2.0 MB are needed \(the model 2.0 MB\), 1.0 MB are free; make room. Rec"
        ):
            require_room(folder, {"the model": 2_000_000, "nothing": 0})


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
