"""`python -m keras_booth.evaluate`, with few steps on random weights: everything happens, nothing is learned."""

import json

import pytest
import yaml

from keras_booth import evaluate
from tests.helpers.commands import call, files
from tests.helpers.photographs import picture_size

pytestmark = pytest.mark.large

RECIPE = {
    "subject": {"photos": "photos", "class_noun": "dog"},
    "base": {"weights": None},
    "prior": {"count": 3, "steps": 2},
    "training": {"steps": 1, "batch_size": 6},  # more than there are photographs
    "sampling": {"steps": 2},
}
QUICK = ["--recipe", "recipe.yaml", "--subjects", "1", "--count", "1", "--class-count", "4", "--base-count", "8"]


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The command, done once."""
    folder = tmp_path_factory.mktemp("measured")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    return call(folder, "evaluate", *QUICK, "--output", "out")


def test_table_and_figures(measured):
    assert measured.code == 0, measured.err
    table = (measured.folder / "out" / "table.md").read_text()
    assert table.strip() == measured.out.strip()
    assert [line.split("|")[1:3] for line in table.splitlines() if line.startswith(("| dog", "| **"))] == [
        [" dog ", " without "],
        [" dog ", " with "],
        [" **mean** ", " without "],
        [" **mean** ", " with "],
    ]
    for name in ("figure.png", "base.png"):
        assert picture_size(measured.folder / "out" / name)[0] > 4 * 128
    assert len(files(measured.folder / "out" / "photos" / "dog")) == 4


def test_several_runs_of_one_kind(measured, monkeypatch):
    """With another seed each; the table has their mean and standard deviation."""
    monkeypatch.chdir(measured.folder)
    results = measured.folder / "out" / "results.json"
    assert evaluate.main([*QUICK, "--output", "out", "--seeds", "2", "--prior-loss", "with"]) == 0
    found = json.loads(results.read_text())
    found["dog, with prior loss"]["class"]["diversity"] = 0.5
    found["dog, with prior loss, run 2"]["class"]["diversity"] = 0.6
    results.write_text(json.dumps(found))
    assert evaluate.main([*QUICK, "--output", "out", "--seeds", "2", "--prior-loss", "with"]) == 0
    table = (measured.folder / "out" / "table.md").read_text()
    assert [line.split("|")[8] for line in table.splitlines() if line.startswith("| dog")] == [" 55 ± 7 % "]
    assert "without" not in table


def test_measures_nothing_twice(measured, monkeypatch):
    """A second call reads the results of the first, and makes the same table of them."""
    monkeypatch.chdir(measured.folder)
    results = measured.folder / "out" / "results.json"
    changed = json.loads(results.read_text())
    changed["dog, with prior loss"]["subject"]["fidelity"] = 0.77
    results.write_text(json.dumps(changed))
    assert evaluate.main([*QUICK, "--output", "out"]) == 0
    assert "| dog | with | 77 %" in (measured.folder / "out" / "table.md").read_text()


def test_never_mixes_recipes(measured, monkeypatch, capsys):
    monkeypatch.chdir(measured.folder)
    before = (measured.folder / "out" / "results.json").read_bytes()
    changed = RECIPE | {"training": {"steps": 2, "batch_size": 6}}
    (measured.folder / "changed.yaml").write_text(yaml.safe_dump(changed))
    assert evaluate.main([*QUICK, "--output", "out", "--recipe", "changed.yaml"]) == 2
    assert "another recipe" in capsys.readouterr().err
    assert (measured.folder / "out" / "results.json").read_bytes() == before


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--recipe", "none.yaml"], "none.yaml"),
        (["--subjects", "11"], "subjects must be in [1, 10]"),
        (["--subjects", "0"], "subjects must be in [1, 10]"),
        (["--seeds", "0"], "seeds must be >= 1"),
        (["--count", "0"], "count must be >= 1"),
        (["--class-count", "1"], "class_count must be >= 2"),
        (["--base-count", "-8"], "base_count must be >= 0"),
        (["--output", "photos/0.png"], "photos/0.png"),
    ],
)
def test_mistakes(refuses, workplace, arguments, sentence):
    (workplace / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    assert sentence in refuses(evaluate.main, ["--recipe", "recipe.yaml", "--output", "out", *arguments])
