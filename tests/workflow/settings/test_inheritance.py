"""Configs that build on others."""

import dataclasses
import re

import pytest

from keras_booth.bases import PRESETS, config_at_hand
from keras_booth.tools.errors import InputError
from keras_booth.tools.preset_names import PRESET_NAMES
from keras_booth.train import main
from keras_booth.workflow.memory import estimate
from keras_booth.workflow.parsing import parse_config, read_config
from keras_booth.workflow.settings.hardware import settings_of
from keras_booth.workflow.settings.shipped import shipped_configs
from tests.helpers.places import ROOT

RUNS = sorted(name for name, path in shipped_configs().items() if "\nsweep:" not in path.read_text())
VARIANTS = ("dreambooth", "dreambooth_text_encoder", "dreambooth_prior", "dreambooth_lora", "dreambooth_lora_prior")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with configs in two places."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    (tmp_path / "parent.yaml").write_text(
        "subject: {photos: a, class_noun: dog}\ntraining: {steps: 5, learning_rate: 1e-3, batch_size: 3}\n"
        "sampling: {prompts: ['null', x]}\n"
        "presets:\n  tiny_world: {training: {batch_size: 7, steps: 70}, lora: {rank: 4}}\n"
        "  stable_diffusion_1.4: {training: {steps: 90}}\n"
    )
    (tmp_path / "own" / "child.yaml").write_text(
        "base_config: ../parent.yaml\nsubject: {identifier: '1e-4'}\ntraining: {learning_rate: 2e-3}\n"
        "presets: {tiny_world: {training: {steps: 71}}}\n"
    )
    return tmp_path


class TestInheritance:
    def test_what_is_not_said_is_the_parents(self, folder):
        config = read_config("own/child.yaml", "--base.preset", "model.safetensors")
        assert (config.training.steps, config.training.learning_rate, config.training.batch_size) == (5, 2e-3, 3)
        assert (config.subject.photos, config.subject.identifier) == ("a", "1e-4")
        assert config.sampling.prompts == ("null", "x")

    def test_what_fits_the_preset_that_is_chosen(self, folder):
        """Over what stands beside it; the child's over the parent's; under later flags."""
        config = read_config("own/child.yaml", "--base.preset=tiny_world", "--lora.rank", "5")
        assert (config.training.steps, config.training.batch_size, config.lora.rank) == (71, 7, 5)
        assert read_config("own/child.yaml") == read_config("own/child.yaml", "--base.preset=tiny_world")
        other = read_config("own/child.yaml", "--base.preset", "stable_diffusion_1.4")
        assert (other.training.steps, other.training.batch_size, other.lora.rank) == (90, 3, 0)

    def test_the_preset_of_a_later_config(self, folder):
        (folder / "last.yaml").write_text("base: {preset: stable_diffusion_1.4}\n")
        assert parse_config(["--config", "own/child.yaml", "--config=last.yaml"]).training.steps == 90

    def test_one_that_comes_along(self, folder):
        (folder / "mine.yaml").write_text("base_config: quickstart\ntraining: {steps: 9}\n")
        config = read_config("mine.yaml")
        assert config.training.steps == 9 and config.prior == read_config("quickstart").prior
        assert config.subject.photos == str(ROOT / "photos" / "orange_dog")  # which come along, too

    @pytest.mark.parametrize(
        "text, message",
        [
            (
                "base_config: none.yaml",
                "base_config must be a file that is there, from . on. Received: base_config='no",
            ),
            ("base_config: 5", "base_config must be the path of a config, from this one. Received: base_config=5"),
            ("base_config: mine.yaml", "base_config must not lead back to where it began: "),
            ("base_config: a.yaml", "base_config must not lead back to where it began: "),
            ("presets: {tiny_wrld: {}}", "There is no preset tiny_wrld; did you mean tiny_world? Received: presets.ti"),
            ("presets: 5", "presets must hold groups of fields for a preset"),
            ("presets: {tiny_world: 5}", "presets must hold groups of fields for a preset"),
            (
                "presets: {stable_diffusion_2.1: {training: {step: 1}}}",
                "There is no field training.step; did you mean training.steps?",
            ),
            ("presets: {stable_diffusion_2.1: {training: 1}}", "training must be a group of fields. Received: trai"),
            ("sweep: {grid: {training.steps: [1]}}", "sweep is for "),
        ],
    )
    def test_mistakes(self, folder, text, message):
        (folder / "a.yaml").write_text("base_config: mine.yaml\n")
        (folder / "mine.yaml").write_text(f"{text}\n")
        with pytest.raises(InputError) as error:
            read_config("mine.yaml", "--subject.photos", "a", "--subject.class_noun", "dog")
        assert str(error.value).startswith(message)

    def test_a_chain_without_end(self, folder):
        for number in range(20):
            (folder / f"{number}.yaml").write_text(f"base_config: {number + 1}.yaml\n")
        with pytest.raises(InputError, match="At most 16 configs may build on one another. Received: config="):
            read_config("0.yaml")

    def test_presets_are_the_bases(self):
        assert set(PRESET_NAMES) == set(PRESETS)


class TestShipped:
    """The configs that come along."""

    @pytest.mark.parametrize("name", RUNS)
    def test_run_on_tiny_world(self, name):
        """Scaled to it: with the quickstart's numbers, as far as the way to fine-tune is the same."""
        config, quickstart = parse_config(["--config", name, "--base.preset", "tiny_world"]), read_config("quickstart")
        assert config.base == quickstart.base and config.training.steps == quickstart.training.steps
        assert config.sampling == quickstart.sampling and config.subject.captions
        if config.prior.loss_weight:
            target = "base" if name == "quickstart" else "images"
            prior = dataclasses.replace(quickstart.prior, target=target)
            assert (config.prior, config.training.batch_size) == (prior, quickstart.training.batch_size)
        if not config.lora.rank:
            assert config.training.learning_rate == 4e-4

    @pytest.mark.parametrize("name", RUNS)
    def test_fit_the_memory_that_they_name(self, name):
        text = (ROOT / "configs" / f"{name}.yaml").read_text()
        size = re.search(r"GPU with (\d+) GB", text)
        if size:
            config = parse_config(["--config", name])
            needed = estimate(config, config_at_hand(**dataclasses.asdict(config.base)))
            assert needed.total / 1e9 < 0.9 * int(size[1])

    @pytest.mark.parametrize("name", shipped_configs())
    def test_say_in_two_lines_what_they_are_for(self, name):
        lines = (ROOT / "configs" / f"{name}.yaml").read_text().splitlines()
        assert [line.startswith("# ") for line in lines[:3]] == [True, True, False]

    def test_five_variants(self):
        found = [parse_config(["--config", name]) for name in VARIANTS]
        assert [config.prior.wanted for config in found] == [False, False, True, False, True]
        assert [config.training.text_encoder for config in found] == [False, True, False, False, False]
        assert [config.lora.rank > 0 for config in found] == [False, False, False, True, True]
        assert len({config.output.folder for config in found}) == 5

    def test_the_t4_is_what_hardware_sets(self):
        config = parse_config(["--config", "colab_t4"])
        for name, value in settings_of("t4")[0].items():
            group, field = name.split(".")
            assert getattr(getattr(config, group), field) == value, name

    def test_are_listed(self, capsys):
        assert main(["--config", "list"]) == 0
        shown = capsys.readouterr().out
        for name in shipped_configs():
            assert f"\n  {name}\n" in shown

    def test_the_nearest_name(self):
        with pytest.raises(InputError, match="There is no config quickstrat, nor .*; did you mean quickstart?"):
            parse_config(["--config", "quickstrat"])
        with pytest.raises(InputError, match="There is no config abacus, nor .*; --config list lists those"):
            parse_config(["--config=abacus"])
