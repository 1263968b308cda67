"""One tiny run through the command line, which all tests of the trained model share."""

import json

import filelock
import pytest

from tests.helpers.commands import Done, call, files, flags
from tests.helpers.photographs import write_photos


@pytest.fixture(scope="session")
def trained(tmp_path_factory, worker_id):
    """`python -m keras_booth.train`, done once, also where several processes run the tests."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "trained"
    with filelock.FileLock(f"{folder}.lock"):
        if not (folder / "done.json").exists():
            write_photos(folder / "photos")
            done = call(folder, "train", *flags())
            (folder / "done.json").write_text(json.dumps([done.code, done.out, done.err]))
    return Done(*json.loads((folder / "done.json").read_text()), folder)


@pytest.fixture(scope="session")
def model(trained):
    """Path of a trained `.keras` file."""
    return trained.folder / "run" / "dog.keras"


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder to stand in, with `photos`; its class images stay in it."""
    write_photos(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_BOOTH_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def refuses(workplace, capsys):
    """Checks that a command ends with exit code 2 and one sentence, and has written nothing. Returns the sentence."""

    def check(main, arguments):
        before = files(workplace)
        assert main([str(argument) for argument in arguments]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.count("\n") == 1
        assert files(workplace) == before
        return captured.err.strip()

    return check
