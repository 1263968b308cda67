"""What travels to a cluster."""

import dataclasses
import tarfile
from pathlib import Path

import pytest

from keras_booth.experiments.cell_files import CELL, CONFIG
from keras_booth.experiments.engines.on_ray import import_ray, pack_cell, unpack
from keras_booth.tools.errors import InputError
from keras_booth.workflow.config import SubjectOptions
from keras_booth.workflow.parsing import read_config, to_yaml
from tests.helpers.commands import files
from tests.helpers.photographs import write_photos


def test_the_pictures_of_all_subjects(tmp_path, monkeypatch):
    """Photographs, and class images of one's own, which the config finds there under other names."""
    here, there = tmp_path / "here", tmp_path / "there"
    for name in ("dog", "cat", "dogs", "cats"):
        write_photos(here / name)
    config = read_config("quickstart", f"--subject.photos={here / 'dog'}", f"--prior.folder={here / 'dogs'}")
    cat = SubjectOptions(photos=str(here / "cat"), class_noun="cat", identifier="zwx", class_images=str(here / "cats"))
    config = dataclasses.replace(config, more_subjects=(cat,))
    (here / CELL).write_text("{}")
    (here / CONFIG).write_text(to_yaml(config))
    there.mkdir()
    unpack(pack_cell(here), there)

    monkeypatch.chdir(there)
    found = read_config(CONFIG)
    for one, before in zip(found.subjects, config.subjects, strict=True):
        moved = {"photos": one.photos, "class_images": one.class_images}
        assert dataclasses.asdict(one) == dataclasses.asdict(before) | moved
    folders = [folder for one in found.subjects for folder in (one.photos, one.class_images)]
    for folder, name in zip(folders, ("dog", "dogs", "cat", "cats"), strict=True):
        assert not Path(folder).is_absolute()
        assert files(there / folder) == files(here / name)
        assert [p.read_bytes() for p in sorted(Path(folder).iterdir())] == [
            p.read_bytes() for p in sorted((here / name).iterdir())
        ]


def test_a_python_that_cannot_unpack_safely(monkeypatch):
    monkeypatch.delattr(tarfile, "data_filter")
    with pytest.raises(InputError, match="--engine ray needs Python 3.10.12, 3.11.4 or later"):
        import_ray()
