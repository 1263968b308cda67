"""`python -m keras_booth.evaluate`, with few steps on random weights: everything happens, nothing is learned."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from keras_booth import evaluate
from keras_booth.dreambooth import DreamBooth, LoraConfig
from keras_booth.workflow.measuring import model_before
from tests.helpers.booths import small_booth
from tests.helpers.commands import call, eager_cells, files
from tests.helpers.photographs import picture_size, write_photos

RECIPE = {
    "subject": {"photos": "photos", "class_noun": "dog"},
    "base": {"weights": None},
    "prior": {"count": 3, "steps": 2},
    "training": {"steps": 1, "batch_size": 6},  # more than there are photographs
    "sampling": {"steps": 2},
}
QUICK = ["--recipe", "recipe.yaml", "--subjects", "1", "--count", "1", "--class-count", "4", "--base-count", "8"]


LONG = pytest.mark.large  # what draws


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The command, done once."""
    folder = tmp_path_factory.mktemp("measured")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    return call(folder, "evaluate", *QUICK, "--jobs", "2", "--output", "out", **eager_cells())


@pytest.fixture
def there(measured, monkeypatch):
    """Stands where that was."""
    monkeypatch.chdir(measured.folder)
    for name, value in eager_cells().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("KERAS_BOOTH_CACHE", str(measured.folder / "cache"))
    return measured.folder


def rows(text):
    """The first cells of the lines of a table."""
    return [line.split("|")[1].strip() for line in text.splitlines()[2:]]


@LONG
def test_tables_and_figures(measured):
    assert measured.code == 0, measured.err
    out = measured.folder / "out"
    assert (out / "table.md").read_text() == measured.out
    of_base, of_means = measured.out.split("\n\n")
    assert of_base.startswith("| the base follows the prompt | right |")
    assert rows(of_means) == ["real photographs", "the base, untouched", "without prior loss", "with prior loss"]
    assert "drift ↓" in of_means and "diversity ↑" in of_means and "PRES ↓" in of_means and "DIV ↑" in of_means
    for name in ("figure.png", "base.png"):
        assert picture_size(out / name)[0] > 4 * 128
    assert len(files(out / "photos" / "dog")) == 4


@LONG
def test_several_runs_of_one_kind(there, capsys):
    """With another seed each; the table has their mean and standard deviation. What was drawn is not drawn again."""
    before = {path: path.stat().st_mtime_ns for path in Path("out/cells").rglob("drawn/**/*.png")}
    assert evaluate.main([*QUICK, "--output", "out", "--seeds", "2", "--prior-loss", "with"]) == 0
    found = json.loads(Path("out/scores.json").read_text())["with prior loss"]["dog"]
    diversities = [run["diversity"]["value"] for run in found]
    of_dog = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("| dog | with prior loss"))
    assert f"| {np.mean(diversities):.3f} ± {np.std(diversities, ddof=1):.3f} |" in of_dog
    after = {path: path.stat().st_mtime_ns for path in Path("out/cells").rglob("drawn/**/*.png")}
    assert {path: after[path] for path in before} == before and len(after) == len(before) + 1 + 8 + 4


@LONG
def test_measures_again_what_another_version_measured(there, capsys):
    """The figures are of the pictures in the folder."""
    (cell,) = (path for path in Path("out/cells").glob("dog-with-prior-loss*") if "run" not in path.name)
    for path in next(cell.glob("drawn/*/class")).iterdir():
        shutil.copy("out/photos/dog/00.png", path)
    said = json.loads((cell / "cell.json").read_text())
    (cell / "cell.json").write_text(json.dumps(said | {"version": "0.0"}))
    assert evaluate.main([*QUICK, "--output", "out", "--format", "csv"]) == 0
    rows = {tuple(line.split(",")[:2]): line.split(",")[2] for line in capsys.readouterr().out.splitlines()}
    assert rows["with prior loss", "drift"] == rows["with prior loss", "class"] == "1"
    assert rows["with prior loss", "diversity"] == "0"


@LONG
def test_a_recipe_that_keeps_the_best(there):
    """One step that ruins a base: the first weights are the best, and what is drawn after it is what the base drew.

    Of the pictures of random weights chance would say which are the best.
    """
    recipe = RECIPE | {"base": {}, "training": RECIPE["training"] | {"keep_best": 1, "learning_rate": 1e-2}}
    Path("best.yaml").write_text(yaml.safe_dump(recipe))
    flags = ["--recipe", "best.yaml", "--prior-loss", "with", "--output", "best", "--base-count", "0"]
    assert evaluate.main([*QUICK, *flags]) == 0
    before, after = (
        [path.read_bytes() for path in sorted(Path("best/cells").glob(f"dog-{state}*/drawn/*/class/*.png"))]
        for state in ("the-base-untouched", "with-prior-loss")
    )
    assert before == after and len(after) == 4


@LONG
def test_the_dreambooth_dataset(there, capsys):
    """A checkout's first subject, with the 25 prompts of its kind."""
    write_photos(Path("checkout/dataset/backpack"), count=6)
    flags = ["--protocol", "dreambooth", "checkout", "--prior-loss", "with", "--output", "dataset", "--base-count", "0"]
    assert evaluate.main([*QUICK, *flags]) == 0
    assert rows(capsys.readouterr().out) == ["real photographs", "the base, untouched", "with prior loss"]
    assert len(list(Path("dataset/cells").glob("backpack-with-prior-loss*/drawn/*/subject/*.png"))) == 25


@LONG
def test_never_mixes_recipes(there, capsys):
    before = files(there / "out")
    changed = RECIPE | {"training": {"steps": 2, "batch_size": 6}}
    (there / "changed.yaml").write_text(yaml.safe_dump(changed))
    assert evaluate.main([*QUICK, "--output", "out", "--recipe", "changed.yaml"]) == 2
    assert "another config" in capsys.readouterr().err
    assert files(there / "out") == before


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--recipe", "none.yaml"], "none.yaml"),
        (
            ["--protocol", "dreambooth", "photos"],
            "of github.com/google/dreambooth, and lacks backpack",
        ),
        (["--protocol", "custom", "photos"], "--protocol must be dreambooth and a folder"),
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


FEW = ("--count", "1", "--class-count", "2", "--batch-size", "8")


@pytest.fixture(scope="module")
def prompts(tmp_path_factory):
    """A file with two prompts."""
    path = tmp_path_factory.mktemp("prompts") / "prompts.txt"
    path.write_text("a photo of a {} in the snow\n\n a photo of a {} wearing a hat on the beach\n")
    return path


@pytest.fixture(scope="module")
def done(trained, model, prompts):
    """The command with a model, done once; the folder of the run has its photographs."""
    flags = ("--photos", "photos", "--prompt-file", prompts, "--output", "out", *FEW)
    return call(trained.folder, "evaluate", model, *flags)


class TestModel:
    """A trained model beside its photographs and its base."""

    @LONG
    def test_table(self, done):
        assert done.code == 0, done.err
        lines = done.out.splitlines()
        names = ("fidelity ↑", "setting ↑", "class ↑", "drift ↓", "diversity ↑")
        names += ("identity ↑", "likeness ↑", "prompt ↑", "PRES ↓", "DIV ↑")
        assert {head.strip() for head in lines[0].strip("| ").split("|")} == set(names)
        rows = ["real photographs", "the base, untouched", "the model"]
        assert [line.split("|")[1].strip() for line in lines[2:]] == rows
        assert done.out == (done.folder / "out" / "table.md").read_text()

    @LONG
    def test_shows_progress(self, done):
        assert "8/8" in done.err

    @LONG
    def test_figures(self, done):
        found = json.loads((done.folder / "out" / "metrics.json").read_text())
        assert found["prompts"] == ["a photo of a {} in the snow", "a photo of a {} wearing a hat on the beach"]
        assert found["rows"]["the model"]["setting"].keys() == {"value", "low", "high", "count"}
        assert found["rows"]["the model"]["setting"]["count"] == 2
        assert found["rows"]["the model"]["diversity"]["count"] == 2

    @LONG
    def test_sheet(self, done):
        assert picture_size(done.folder / "out" / "sheet.png")[0] > 4 * 128

    @LONG
    def test_as_latex_and_csv(self, trained, model, prompts, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(trained.folder)
        for kind, name, start in (
            ("latex", "table.tex", r"\begin{tabular}{lcccccccccc}"),
            ("csv", "table.csv", "row,metric"),
        ):
            flags = ["--prompt-file", str(prompts), "--output", str(tmp_path), "--format", kind, *FEW]
            assert evaluate.main([str(model), "--photos", "photos", *flags]) == 0
            text = capsys.readouterr().out
            assert text.startswith(start)
            assert (tmp_path / name).read_text() == text

    @pytest.mark.parametrize(
        "flags, sentence",
        [
            ([], "--photos must be a folder of the subject's photographs"),
            (["--photos", "nowhere"], "The photo folder does not exist"),
            (["--photos", "empty"], "There is no photo in the folder"),
            (["--photos", "photos", "--count", "0"], "count must be >= 1"),
            (["--photos", "photos", "--class-count", "1"], "class_count must be >= 2"),
            (["--photos", "photos", "--prompt-file", "bad.txt"], "A prompt must have one {}, where the subject goes"),
            (["--photos", "photos", "--prompt-file", "blank.txt"], "There must be at least one prompt"),
            (["--photos", "photos", "--base", "nothing"], "`preset` must be one of"),
            (["--photos", "photos", "--output", "bad.txt"], "output must be a folder, but bad.txt is a file"),
        ],
    )
    def test_mistakes(self, refuses, workplace, model, flags, sentence):
        (workplace / "empty").mkdir()
        (workplace / "bad.txt").write_text("a photo of a dog\n")
        (workplace / "blank.txt").write_text("\n")
        assert refuses(evaluate.main, [str(model), *flags]).startswith(sentence)

    def test_photographs_without_a_model(self, refuses, workplace):
        assert refuses(evaluate.main, ["--photos", "photos"]).startswith("model must be given beside --photos")


class TestBefore:
    """What is measured as the base."""

    def test_of_a_lora(self):
        booth = DreamBooth.from_preset("tiny_world", weights=None, lora=LoraConfig(2))
        assert model_before(booth, "tiny_world", "tiny_world").adapters is None

    def test_nobody_knows(self):
        assert model_before(small_booth(), "small.keras", None) is None
