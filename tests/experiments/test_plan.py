"""Which runs a sweep has, and what it refuses before the first of them."""

import json
from pathlib import Path

import pytest

from keras_booth import sweep
from keras_booth.experiments.plan import make_plan
from keras_booth.experiments.results import Result, places_of
from keras_booth.experiments.subjects import class_noun
from keras_booth.workflow.parsing import parse_config
from keras_booth.workflow.settings.shipped import shipped_configs
from tests.helpers.checkpoints.families import write_checkpoint
from tests.helpers.commands import files
from tests.helpers.photographs import write_photos

BASE = "base_config: quickstart\nsubject: {photos: photos}\n"


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """Makes a `Plan` of what stands under `sweep`, with flags."""
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path / "photos")

    def make(text, *flags):
        Path("s.yaml").write_text(f"{BASE}sweep: {text}\n")
        return make_plan(["--config", "s.yaml", *flags], tmp_path / "out")

    return make


class TestRuns:
    def test_each_combination(self, plan):
        found = plan("{grid: {training.learning_rate: [1e-6, 3.0e-6], training.steps: [60, 90]}}", "--lora.rank", "3")
        of_runs = [(cell.config.training.learning_rate, cell.config.training.steps) for cell in found.cells]
        assert of_runs == [(1e-6, 60), (1e-6, 90), (3e-6, 60), (3e-6, 90)]
        assert all(cell.config.lora.rank == 3 and cell.trained for cell in found.cells)
        assert [cell.label for cell in found.cells][1] == "learning_rate 1e-6, steps 90"
        assert len({cell.name for cell in found.cells}) == 4

    def test_one_by_one_and_combined(self, plan):
        runs = "runs: [{prior.loss_weight: 0, label: without}, {lora.rank: 4}]"
        found = plan(f"{{{runs}, grid: {{training.steps: [1, 2]}}, seeds: 2, base: true}}")
        before, *trained = found.cells
        assert not before.trained and before.label == "the base, untouched"
        labels = ["without, steps 1", "without, steps 2", "rank 4, steps 1", "rank 4, steps 2"]
        assert [cell.label for cell in trained[::2]] == [cell.label for cell in trained[1::2]] == labels
        assert [cell.config.training.seed for cell in trained] == [0, 1] * 4
        assert [cell.config.prior.loss_weight for cell in trained] == [0.0] * 4 + [1.0] * 4
        assert [cell.config.lora.rank for cell in trained] == [16] * 4 + [4] * 4

    def test_ways_of_drawing(self, plan):
        found = plan("{draw: {sampling.steps: [3, 5], sampling.guidance_scale: [1, 2.5]}}")
        assert len(found.cells) == 1
        assert found.draws[1] == {"sampling.steps": 3, "sampling.guidance_scale": 2.5}

    def test_by_flags(self, plan):
        found = plan(
            "{grid: {training.steps: [3]}, seeds: 1}", "--sweep.seeds", "2", "--sweep.grid={lora.rank: [1, 2]}"
        )
        assert [(cell.config.lora.rank, cell.run) for cell in found.cells] == [(1, 0), (1, 1), (2, 0), (2, 1)]

    def test_two_fields_of_one_name(self, plan):
        found = plan("{grid: {training.steps: [3, 5]}, draw: {sampling.steps: [1, 2]}}")
        assert found.cells[0].label == "training.steps 3"

    def test_the_presets_own(self, plan):
        text = (
            "{grid: {training.steps: [1]}, count: 3}\npresets: {tiny_world: {sweep: {grid: {training.steps: [2, 3]}}}}"
        )
        assert [cell.config.training.steps for cell in plan(text).cells] == [2, 3]
        assert plan(text).options.count == 3
        assert [cell.config.training.steps for cell in plan(text, "--base.preset", "x.safetensors").cells] == [1]


class TestShipped:
    @pytest.mark.parametrize("preset", ["tiny_world", "stable_diffusion_1.4"])
    def test_five_variants_are_the_five_configs(self, tmp_path, preset):
        """Where the base is small, the text encoder is trained beside class images, too."""
        names = [
            "dreambooth",
            "dreambooth_text_encoder",
            "dreambooth_prior",
            "dreambooth_lora",
            "dreambooth_lora_prior",
        ]
        cells = make_plan(["--config", "sweep_variants", "--base.preset", preset], tmp_path).cells
        for cell, name in zip(cells, names, strict=True):
            more = []
            if preset == "tiny_world" and name == "dreambooth_prior":
                more = ["--training.text_encoder=true", "--training.text_encoder_learning_rate=3e-4"]
            config = parse_config(["--config", name, "--base.preset", preset, *more])
            assert (cell.config.training, cell.config.lora) == (config.training, config.lora), name
            assert cell.config.prior.loss_weight == config.prior.loss_weight


class TestSubjects:
    def test_a_folder_of_folders(self, plan, tmp_path):
        for name in ("dog", "dog2", "dog-rex", "stuffed_animal-bear"):
            write_photos(tmp_path / "mine" / name)
        found = plan("{subjects: mine}").cells
        assert [cell.subject.name for cell in found] == ["dog", "dog-rex", "dog2", "stuffed_animal-bear"]
        assert [cell.config.subject.class_noun for cell in found] == ["dog", "dog", "dog", "stuffed animal"]
        assert all(Path(cell.config.subject.photos).is_absolute() for cell in found)
        assert [cell.name for cell in found][0] == "dog"
        assert [cell.subject.name for cell in plan("{subjects: mine, only: [dog2]}").cells] == ["dog2"]

    def test_a_list(self, plan, tmp_path):
        write_photos(tmp_path / "rex")
        groups = "[{photos: photos, class_noun: cat, identifier: zwx}, {photos: rex, class_noun: dog}]"
        found = plan(f"{{subjects: {groups}}}").cells
        assert [(cell.config.subject.identifier, cell.config.subject.class_noun) for cell in found] == [
            ("zwx", "cat"),
            ("sks", "dog"),
        ]

    def test_a_checkout_of_the_dataset(self, plan, tmp_path):
        for name in ("dog6", "bear_plushie"):
            write_photos(tmp_path / "checkout" / "dataset" / name)
        found = plan("{subjects: checkout}").cells
        assert [cell.config.subject.class_noun for cell in found] == ["stuffed animal", "dog"]
        assert len(found[0].subject.prompts) == 25

    def test_the_tiny_worlds_and_the_datasets(self, plan, tmp_path):
        before = files(tmp_path)
        assert len(plan("{subjects: tiny_world}").cells) == 10
        assert len(plan("{subjects: dreambooth}").cells) == 30
        assert files(tmp_path) == sorted([*before, "s.yaml"])  # photographs are made when the runs are

    def test_what_a_folder_says(self):
        assert class_noun("cat") == "cat" and class_noun("teddy_bear3-old") == "teddy bear"


class TestPicture:
    """Where each picture stands."""

    def rows(self, found):
        return [places_of(found, Result(cell, draw, "all")) for cell in found.cells for draw in found.draws]

    def test_runs_by_ways_of_drawing(self, plan):
        found = plan("{grid: {training.steps: [3, 5]}, draw: {sampling.guidance_scale: [1, 2]}}")
        assert self.rows(found) == [
            (f"steps {steps}", f"guidance_scale {scale}") for steps in (3, 5) for scale in (1, 2)
        ]

    def test_two_axes(self, plan):
        found = plan("{grid: {training.steps: [3, 5], lora.rank: [1, 2]}}")
        assert self.rows(found) == [(f"steps {steps}", f"rank {rank}") for steps in (3, 5) for rank in (1, 2)]

    def test_runs_by_subjects(self, plan):
        found = plan("{subjects: tiny_world, only: [dog, cat], base: true}")
        places = [(label, name) for name in ("dog", "cat") for label in ("the base, untouched", "the model")]
        assert self.rows(found) == places


MISTAKES = [
    ("{gird: {}}", "There is no field sweep.gird; did you mean sweep.grid? Received: sweep.gird"),
    ("[1]", "sweep must be a group of fields. Received: sweep=[1]"),
    ("{grid: {training.step: [1]}}", "There is no field training.step; did you mean training.steps? Received: sweep.g"),
    ("{grid: {training.steps: 1}}", "sweep.grid.training.steps must be a list of values. Received: 1"),
    ("{grid: {training.steps: []}}", "sweep.grid.training.steps must be a list of values. Received: []"),
    ("{grid: {training.steps: [1, 1]}}", "sweep.grid.training.steps must be different values. Received: 1 twice"),
    ("{grid: {training.steps: [many]}}", "training.steps must be a whole number. Received: training.steps=many"),
    ("{grid: {training.steps: [1, -1]}}", "training.steps must be >= 1. Received: training.steps=-1"),
    ("{grid: {output.folder: [a]}}", "output.folder is said by --output. Received: sweep.grid.output.folder"),
    ("{runs: {lora.rank: 3}}", "sweep.runs must be a list of fields with values. Received: sweep.runs="),
    ("{runs: [{lora.rnk: 3}]}", "There is no field lora.rnk; did you mean lora.rank? Received: sweep.runs.lora.rnk"),
    ("{runs: [{lora.rank: 3, label: a}, {lora.rank: 4, label: a}]}", "Each run of a sweep must have a label of its"),
    ("{draw: {training.steps: [1]}}", "sweep.draw takes fields of sampling alone. Received: sweep.draw.training.steps"),
    ("{draw: {sampling.steps: [0]}}", "sampling.steps must be >= 1. Received: sampling.steps=0"),
    ("{seeds: 0}", "sweep.seeds must be a whole number >= 1. Received: sweep.seeds=0"),
    ("{count: -1}", "sweep.count must be a whole number >= 0. Received: sweep.count=-1"),
    ("{count: 0}", "A sweep needs at least two runs, or something to measure. Received: one run, sweep.count=0"),
    ("{base: 3}", "sweep.base must be true or false. Received: sweep.base=3"),
    ("{prompt: a dog}", "A prompt of a sweep must have one {}, where the subject goes. Received: 'a dog'"),
    ("{prompts: []}", "sweep.prompts must be null or a list of texts. Received: sweep.prompts=[]"),
    ("{subjects: nowhere}", "sweep.subjects must be a folder of folders of photographs. Received: sweep.subjects='n"),
    ("{subjects: photos}", "There is no folder of photographs in sweep.subjects. Received: sweep.subjects='photos'"),
    ("{subjects: [{photos: a}]}", "Each of sweep.subjects must have photos and class_noun. Received: {'photos': 'a'}"),
    ("{subjects: 3}", "sweep.subjects must be tiny_world, dreambooth, a folder of folders, or a list of groups"),
    ("{subjects: tiny_world, only: [dgo]}", "There is no subject dgo; did you mean dog? Received: sweep.only=['dgo']"),
    ("{subjects: [{photos: none, class_noun: dog}]}", "The photo folder does not exist"),
]


class TestCommand:
    @pytest.mark.parametrize("text, sentence", MISTAKES)
    def test_mistakes(self, tmp_path, monkeypatch, capsys, text, sentence):
        monkeypatch.chdir(tmp_path)
        write_photos(tmp_path / "photos")
        Path("s.yaml").write_text(f"{BASE}sweep: {text}\n")
        before = files(tmp_path)
        assert sweep.main(["s.yaml", "--output", "out"]) == 2
        captured = capsys.readouterr()
        assert captured.err.startswith(sentence) and captured.err.count("\n") == 1 and not captured.out
        assert files(tmp_path) == before

    @pytest.mark.parametrize(
        "flags, sentence",
        [
            (["none.yaml"], "config cannot be read (No such file or directory)"),
            (
                ["sweep_lr_step"],
                "There is no config sweep_lr_step, nor a file of that name; did you mean sweep_lr_steps?",
            ),
            (["s.yaml", "--jobs", "0"], "--jobs must be >= 1. Received: --jobs=0"),
            (["s.yaml", "--sweep.seed"], "--sweep.seed must be followed by a value. Received: --sweep.seed"),
            (["s.yaml", "--sweep.sede", "3"], "There is no field sweep.sede; did you mean sweep.seed"),
            (["s.yaml", "--training.step", "3"], "There is no field training.step; did you mean training.steps?"),
            (
                ["s.yaml", "--output", "s.yaml"],
                "output must be a folder, but s.yaml is a file. Received: output='s.yaml'",
            ),
            (["s.yaml", "--output.folder", "here"], "The folder of a sweep is --output, and each run has one in it."),
            (["s.yaml", "--engine", "ray", "--address", "127.0.0.1:1"], "No Ray cluster answers; begin one with: ray"),
        ],
    )
    def test_bad_flags(self, tmp_path, monkeypatch, capsys, flags, sentence):
        monkeypatch.chdir(tmp_path)
        if "ray" in flags:
            pytest.importorskip("ray")
        write_photos(tmp_path / "photos")
        Path("s.yaml").write_text(f"{BASE}sweep: {{grid: {{training.steps: [1, 2]}}}}\n")
        assert sweep.main(flags) == 2
        captured = capsys.readouterr()
        assert captured.err.startswith(sentence) and captured.err.count("\n") == 1 and not captured.out
        assert not (tmp_path / "runs").exists()

    @pytest.mark.parametrize("name, runs", [("sweep_lr_steps", 4), ("batch_dreambooth_dataset", 10)])
    def test_says_what_it_would_do(self, tmp_path, monkeypatch, capsys, name, runs):
        monkeypatch.chdir(tmp_path)
        assert name in shipped_configs()
        assert sweep.main([name, "--base.preset", "tiny_world", "--dry-run"]) == 0
        assert f"\n{runs} runs" in capsys.readouterr().out
        assert files(tmp_path) == []

    def test_no_subject(self, tmp_path, monkeypatch, capsys):
        """Not one that nobody named, even where there is a folder `photos`."""
        monkeypatch.chdir(tmp_path)
        write_photos(tmp_path / "photos")
        Path("s.yaml").write_text("sweep: {grid: {training.steps: [1, 2]}}\n")
        assert sweep.main(["s.yaml", "--output", "out"]) == 2
        said = "subject.photos and subject.class_noun must be given, in the YAML file or as --subject.photos VALUE."
        assert capsys.readouterr().err == f"{said}\n"

    def test_another_sweep_in_the_folder(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        write_photos(tmp_path / "photos")
        Path("s.yaml").write_text(f"{BASE}sweep: {{runs: [{{lora.rank: 2}}]}}\n")
        cell = tmp_path / "out" / "cells" / "rank-2-x"
        cell.mkdir(parents=True)
        plan = make_plan(["--config", "s.yaml"], Path("out"))
        cell.rename(cell.with_name(plan.cells[0].name))
        (cell.with_name(plan.cells[0].name) / "cell.json").write_text(json.dumps({"label": "rank 2"}))
        assert sweep.main(["s.yaml", "--output", "out"]) == 2
        assert "has a run of that name with another subject; give a fresh --output" in capsys.readouterr().err

    def test_encoders_that_cannot_be_had(self, tmp_path, monkeypatch, capsys):
        """Said before the first run, which they would measure after hours."""
        monkeypatch.chdir(tmp_path)
        write_photos(tmp_path / "photos")
        write_checkpoint("xl", tmp_path / "base")
        Path("s.yaml").write_text(f"{BASE}sweep: {{grid: {{training.steps: [1, 2]}}}}\n")
        line = ["s.yaml", "--output", "out", "--base.preset", "base", "--base.weights", "pretrained"]
        assert sweep.main([*line, "--dino", "nowhere"]) == 2
        said = capsys.readouterr().err
        assert said.startswith("There is no folder of a vit model. Received: ") and said.count("\n") == 1
        assert said.endswith(
            "nowhere. All runs will be measured with it, so none was begun: --dino and --clip take folders\n"
        )
        assert not list(tmp_path.glob("out/cells/*/run")) and not list(tmp_path.glob("out/cells/*/failed.txt"))
