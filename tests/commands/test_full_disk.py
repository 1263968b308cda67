"""A disk that fills up at any place of a run: one sentence with the path, and the run goes on when there is room."""

import contextlib
import re

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file

from keras_booth import export, train
from keras_booth.callbacks import Checkpoints, SampleGrid
from keras_booth.dreambooth import DreamBooth
from keras_booth.workflow import run
from keras_booth.workflow.training import fitting
from tests.helpers.commands import files, flags
from tests.helpers.full_disk import small_disk
from tests.helpers.photographs import write_photos

RUN = {
    **{
        "lora__rank": "2",
        "prior__count": "2",
        "prior__steps": "1",
        "training__steps": "2",
        "output__folder": "disk/run",
    },
    **{"training__checkpoint_every": "1", "training__validate_every": "1", "sampling__every": "1"},
    **{"sampling__count": "1", "sampling__steps": "1"},
}
# What is about to happen when the disk fills up, the name in the sentence, and whether there is a run by then.
PLACES = [
    (run, "gather_prior", "disk/cache/class_images", False),
    (run, "build_datasets", "disk/tmp", False),
    (run, "write_digests", "disk/run/photos.json", False),
    (fitting, "StepLog", "disk/run/log.csv", True),
    (Checkpoints, "save", "disk/run/checkpoints/step-00000001.safetensors", True),
    (SampleGrid, "show", "disk/run/samples/step-0001.png", True),
    (DreamBooth, "save", "disk/run/dog.keras", True),
    (DreamBooth, "save_lora", "disk/run/dog-lora.safetensors", True),
    (run, "report", "disk/run/loss.png", True),
]


@pytest.fixture
def eagerly():
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@contextlib.contextmanager
def filled(monkeypatch, disk, owner, name):
    """The disk has no room any more when something is called."""
    called = getattr(owner, name)

    def first_full(*args, **options):
        disk.fill()
        return called(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, first_full)
        yield
    (disk.folder / "filler").unlink()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="takes eager steps, to be spared the tracing")
# TensorFlow says that it traces what reads the data nevertheless.
@pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions_eagerly`:UserWarning")
@pytest.mark.large
def test_each_place_of_a_run(tmp_path, monkeypatch, capsys, eagerly):
    write_photos(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_BOOTH_CACHE", str(tmp_path / "whole"))
    assert train.main(flags(**RUN | {"output__folder": "whole/run"})) == 0
    with small_disk(tmp_path / "disk", 400_000) as disk:
        (disk.folder / "tmp").mkdir()
        monkeypatch.setattr("tempfile.tempdir", "disk/tmp")
        monkeypatch.setenv("KERAS_BOOTH_CACHE", "disk/cache")
        arguments = flags(**RUN)
        for owner, name, path, is_run in PLACES:
            capsys.readouterr()
            with filled(monkeypatch, disk, owner, name):
                assert train.main(arguments) == 1, name
            said = capsys.readouterr().err.splitlines()[-1]
            assert said.startswith("The command stopped: ") and path in said and re.search("(make|more) room", said), (
                said
            )
            assert len(said) < 500
            assert [file for file in files(disk.folder) if "part" in file or file.startswith("tmp/")] == []
            assert (disk.folder / "run" / "config.yaml").exists() == is_run
            if is_run:
                arguments = ["--resume", "disk/run"]
        assert train.main(arguments) == 0
        assert files(disk.folder / "run") == files(tmp_path / "whole" / "run")
        ours, whole = (
            load_file(folder / "run" / "dog-lora.safetensors") for folder in (disk.folder, tmp_path / "whole")
        )
        assert ours.keys() == whole.keys() and all(np.array_equal(ours[name], whole[name]) for name in ours)

        for output in ("out", "out.safetensors"):
            disk.fill(left=40_000_000)  # too little for the whole model, which is not known to be so
            before = files(disk.folder)
            assert export.main(["disk/run/dog.keras", "--output", f"disk/{output}"]) == 1
            said = capsys.readouterr().err.splitlines()[-1]
            assert (
                said.startswith("The command stopped: ") and "Received: disk/" in said and files(disk.folder) == before
            )
