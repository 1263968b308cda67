"""Configs and photographs that come along are found by name."""

from pathlib import Path

import pytest

from keras_booth.workflow.parsing import parse_config, read_config
from keras_booth.workflow.settings.shipped import shipped_configs, shipped_folder
from tests.helpers.places import ROOT


def test_shipped_configs_of_a_clone():
    assert shipped_folder() == ROOT
    assert shipped_configs()["quickstart"] == ROOT / "configs" / "quickstart.yaml"


@pytest.mark.parametrize("flags", [["--config", "quickstart"], ["--config=quickstart"]])
def test_a_shipped_config_by_name(tmp_path, monkeypatch, flags):
    monkeypatch.chdir(tmp_path)
    config = parse_config([*flags, "--training.steps", "5"])
    shipped = read_config(str(ROOT / "configs" / "quickstart.yaml"))
    assert config.training.steps == 5 != shipped.training.steps and config.prior == shipped.prior
    assert Path(config.subject.photos) == ROOT / "photos" / "orange_dog"
    # What stands here comes first.
    (tmp_path / "photos" / "orange_dog").mkdir(parents=True)
    assert parse_config(flags).subject.photos == "photos/orange_dog"
    (tmp_path / "quickstart").write_text("subject: {photos: mine, class_noun: cat}")
    assert parse_config(flags).subject.class_noun == "cat"
