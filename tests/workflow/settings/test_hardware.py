"""Settings that fit a graphics card."""

import re

import pytest

from keras_booth.bases.base import BaseConfig
from keras_booth.tools.errors import InputError
from keras_booth.workflow.memory import estimate
from keras_booth.workflow.parsing import parse_config, read_config
from keras_booth.workflow.settings.hardware import CARDS, SETTINGS, settings_of, with_hardware
from tests.helpers.places import ROOT

REQUIRED = ["--subject.photos", "photos", "--subject.class_noun", "dog"]
PAGE = (ROOT / "docs" / "PERFORMANCE.md").read_text(encoding="utf-8")


def gigabytes(card):
    config = parse_config([*REQUIRED, "--base.image_size", "512", "--hardware", card])
    return estimate(config, BaseConfig(name="stable_diffusion_1.4", image_size=512)).total / 1e9


@pytest.mark.parametrize("size", SETTINGS)
def test_they_fit_with_room_to_spare_as_the_page_says(size):
    needed = gigabytes(f"{size}gb")
    assert needed < 0.85 * size
    assert float(re.search(rf"^\| {size} GB \|.*\| ([\d.]+) \|$", PAGE, re.MULTILINE)[1]) == round(needed, 1)


def test_more_memory_trains_more():
    assert [settings_of(f"{size}gb")["lora.rank"] > 0 for size in SETTINGS] == [True, True, False, False, False, False]
    rates = {settings_of(card)["training.learning_rate"] for card in ("8gb", "24gb")}
    assert rates == {1e-4, 5e-6}


@pytest.mark.parametrize("card", CARDS)
def test_every_card_makes_a_config(card):
    config = parse_config([*REQUIRED, f"--hardware={card.upper()}"])
    half = "bfloat16" if CARDS[card][1] else "float16"
    assert config.base.dtype in (half, f"mixed_{half}") and (config.base.dtype == half) == (config.lora.rank > 0)


def test_it_takes_its_place_among_the_flags(tmp_path):
    """Over what the file says, under what comes later."""
    (tmp_path / "c.yaml").write_text("subject: {photos: a, class_noun: cat}\ntraining: {batch_size: 7, steps: 9}\n")
    config = read_config(tmp_path / "c.yaml", "--hardware", "t4", "--training.optimizer", "lion")
    training = config.training
    assert (training.batch_size, training.steps, training.optimizer) == (2, 9, "lion")
    assert config.base.dtype == "mixed_float16"
    assert with_hardware(["--a", "--hardware=8gb"])[:2] == ["--a", "--lora.rank=8"]


def test_a_mistake(tmp_path):
    for flags, said in (
        (["--hardware", "rtx4091"], "did you mean rtx4090? Received: --hardware='rtx4091'"),
        (["--hardware", "abacus"], "one of 8gb, 12gb"),
        (["--hardware", "--training.steps", "3"], "Received: --hardware=''"),
        (["--hardwear", "t4"], "did you mean hardware?"),
    ):
        with pytest.raises(InputError, match=re.escape(said)):
            parse_config([*REQUIRED, *flags])
    (tmp_path / "c.yaml").write_text("subject: {photos: a, class_noun: cat}\nhardware: t4\n")
    with pytest.raises(InputError, match="hardware is no field of a config, but the flag --hardware"):
        read_config(tmp_path / "c.yaml")
