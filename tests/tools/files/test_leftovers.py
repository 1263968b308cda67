"""What a process leaves that was killed: found by its name, and only when it is nobody's any more."""

import os
import subprocess
import sys
import tempfile
import time

import pytest

from keras_booth.tools.files import leftovers
from keras_booth.tools.files.leftovers import is_left, own_temporary_folder, part_path, remove_left
from keras_booth.tools.files.writing import whole_file


@pytest.fixture(scope="module")
def ended():
    """The name of a part whose process has ended."""
    code = "from keras_booth.tools.files.leftovers import part_path; print(part_path('dog.keras'))"
    shell = "import sys, types; m = types.ModuleType('keras_booth'); m.__path__ = [sys.argv[1]]; "
    shell += "sys.modules['keras_booth'] = m; " + code
    folder = leftovers.__file__.rpartition("/tools/")[0]
    done = subprocess.run([sys.executable, "-c", shell, folder], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_names(tmp_path):
    one, two = part_path(tmp_path / "dog.keras"), part_path(tmp_path / "dog.keras")
    assert one != two and one.parent == tmp_path and one.suffix == ".keras" and one.name.startswith(".dog.")
    assert not is_left(one.name, 0.0)
    for name in ("x" * 255, "\u7334" * 80, "x." + "y" * 200, "a\nb.png", "\udcff.png"):
        assert len(os.fsencode(part_path(tmp_path / name).name)) <= 255
        assert leftovers.PART.fullmatch(part_path(tmp_path / name).name)


def test_of_whom(ended):
    now = time.time()
    assert is_left(ended, now)
    place, number, began = leftovers.owner().split("-")
    here = f".dog.{place}-{number}-{began}-0.part.keras"
    assert not is_left(here, now)
    # Its number was given to another process since.
    assert is_left(f".dog.{place}-{number}-{int(began) - 1000}-0.part.keras", now)
    elsewhere = ".dog.00000000-1-1-0.part.keras"
    assert not is_left(elsewhere, now) and is_left(elsewhere, now - 2 * 24 * 3600)
    for name in ("dog.keras", ".dog.part.keras", ".dog.part", "dog.12-3.part", ".x.00000000-1-1.part"):
        assert not is_left(name, 0.0)


def test_removed_where_the_next_one_writes(tmp_path, ended):
    (tmp_path / ended).write_text("half")
    (tmp_path / f"{ended}x").mkdir()
    (tmp_path / f"{ended}x" / "a").write_text("half")
    mine = part_path(tmp_path / "b.txt")
    mine.write_text("at work")
    with whole_file(tmp_path / "a.txt") as part:
        part.write_text("new")
    assert sorted(os.listdir(tmp_path)) == sorted(["a.txt", mine.name])


def test_where_nobody_else_can_be_at_work(tmp_path, ended):
    """All of other processes goes, of machines that cannot be asked, and of earlier versions; below, too."""
    (tmp_path / "samples").mkdir()
    kept = [".lock", "log.csv", ".dog.partial.keras", part_path(tmp_path / "a").name]
    for name in (".dog.00000000-1-1-0.part.keras", ".dog.1234.part.keras", ended, *kept):
        (tmp_path / name).write_text("")
        (tmp_path / "samples" / name).write_text("")
    remove_left(tmp_path)
    assert ".dog.1234.part.keras" in os.listdir(tmp_path)
    remove_left(tmp_path, alone=True)
    assert sorted(os.listdir(tmp_path)) == sorted([*kept, "samples"])
    assert sorted(os.listdir(tmp_path / "samples")) == sorted(kept)
    remove_left(tmp_path / "nowhere", alone=True)


def test_temporary_files_lie_in_one_folder(tmp_path, ended, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / f"keras_booth-{ended.split('.')[2].rpartition('-')[0]}"
    left.mkdir()
    (left / "a").write_text("")
    (tmp_path / "keras_booth-mine").mkdir()
    with own_temporary_folder():
        folder = tempfile.mkdtemp()
        assert os.path.dirname(folder) == tempfile.gettempdir() != str(tmp_path)
        assert len(os.listdir(tmp_path)) == 2
    assert os.listdir(tmp_path) == ["keras_booth-mine"] and tempfile.gettempdir() == str(tmp_path)
