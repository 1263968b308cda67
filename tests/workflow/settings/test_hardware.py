"""Settings that fit a graphics card."""

import dataclasses
import re

import pytest

from keras_booth.bases import config_at_hand
from keras_booth.tools.errors import InputError
from keras_booth.workflow.memory import estimate
from keras_booth.workflow.parsing import parse_config, read_config
from keras_booth.workflow.settings.hardware import CARDS, SETTINGS, settings_of, with_hardware
from tests.helpers.places import ROOT

REQUIRED = ["--subject.photos", "photos", "--subject.class_noun", "dog"]
PAGE = (ROOT / "docs" / "PERFORMANCE.md").read_text(encoding="utf-8")


def gigabytes(config):
    return estimate(config, config_at_hand(**dataclasses.asdict(config.base))).total / 1e9


def chosen(card, preset="stable_diffusion_1.4", side=512):
    line = ["--base.preset", preset, "--base.image_size", str(side), "--hardware", card]
    return parse_config([*REQUIRED, *line])


@pytest.mark.parametrize("size", SETTINGS)
def test_they_fit_with_room_to_spare_as_the_page_says(size):
    needed = gigabytes(chosen(f"{size}gb"))
    assert needed < 0.85 * size
    assert float(re.search(rf"^\| {size} GB \|.*\| ([\d.]+) \|$", PAGE, re.MULTILINE)[1]) == round(needed, 1)


@pytest.mark.parametrize("preset", ["stable_diffusion_1.4", "stable_diffusion_2.1", "stable_diffusion_xl"])
@pytest.mark.parametrize("side", [512, 1024])
def test_they_fit_a_larger_base_and_larger_pictures(preset, side):
    """Otherwise they are what a smaller card has, or less."""
    found = {}
    for size in SETTINGS:
        if preset == "stable_diffusion_xl" and size == 8:
            continue  # no settings at all
        found[size] = chosen(f"{size}gb", preset, side)
        assert gigabytes(found[size]) < 0.85 * size
    assert found[80].lora.rank == 0 and found[12].lora.rank > 0
    sizes = [gigabytes(config) for config in found.values()]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("size", SETTINGS)
def test_the_page_on_the_largest_base(size):
    """Its table is what the flag gives."""
    page = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8").split("### Stable Diffusion XL")[1]
    row = next(line for line in page.splitlines() if line.startswith("| ") and f"`{size}gb`" in line)
    _, trains, batch, optimizer, checkpointing, needed = (cell.strip() for cell in row.strip("|").split("|"))
    if trains == "nothing":
        with pytest.raises(InputError, match=f"needed={needed} GB"):
            chosen(f"{size}gb", "stable_diffusion_xl", 1024)
        return
    config = chosen(f"{size}gb", "stable_diffusion_xl", 1024)
    assert trains.startswith(f"LoRA of rank {config.lora.rank}," if config.lora.rank else "UNet, mixed")
    found = (config.training.batch_size, config.training.optimizer, config.training.gradient_checkpointing)
    assert found == (int(batch), optimizer.lower(), checkpointing == "yes")
    assert round(gigabytes(config), 1) == float(needed)


def test_what_no_settings_fit():
    """Said, and not begun; what was given behind counts."""
    said = "no settings with which base.preset='stable_diffusion_xl' is likely to fit.*needed=9.7 GB of 6.8"
    with pytest.raises(InputError, match=said):
        chosen("rtx2080", "stable_diffusion_xl", 1024)
    with pytest.raises(InputError, match="no settings"):
        parse_config([*REQUIRED, "--base.preset", "stable_diffusion_1.4", "--hardware=8gb", "--training.batch_size=64"])
    config = parse_config([*REQUIRED, "--base.preset=stable_diffusion_1.4", "--hardware=24gb", "--lora.rank=2"])
    assert config.lora.rank == 2 and config.training.gradient_checkpointing


def test_a_base_that_is_not_here_yet():
    """Its sizes are not known: the row of Stable Diffusion 1.x, and nothing is downloaded for it."""
    assert chosen("24gb", "hf://someone/else", 1024).training.optimizer == "adamw"


def test_more_memory_trains_more():
    rows = [settings_of(f"{size}gb")[0] for size in SETTINGS]
    assert [row["lora.rank"] > 0 for row in rows] == [True, True, False, False, False, False]
    assert {row["training.learning_rate"] for row in rows} == {1e-4, 5e-6}


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
    assert with_hardware(["--a", "--hardware=8gb"])[0][0][:2] == ["--a", "--lora.rank=8"]


@pytest.mark.parametrize("card, target", [("8gb", "base"), ("24gb", "images")])
def test_where_lora_gives_way_class_images_are_the_target(card, target):
    config = parse_config([*REQUIRED, "--lora.rank=16", "--prior.target=base", "--hardware", card])
    assert (config.lora.rank > 0) == (target == "base") and config.prior.target == target


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
