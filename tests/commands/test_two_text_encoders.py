"""The commands on a base made as Stable Diffusion XL is, of tiny_world's size and random weights."""

import json

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from keras_booth.bases import (
    TINY_WORLD_VOCABULARY,
    StableDiffusionBase,
    Tokenizer,
    export_base,
    load_base,
    tiny_xl_config,
)
from tests.helpers.commands import call, eager_cells, flags, kill_at, several_devices, start
from tests.helpers.encoders.models import write_model
from tests.helpers.photographs import write_photos

RUN = {
    **{"base__preset": "tiny-xl", "base__weights": "pretrained", "lora__rank": "2", "training__text_encoder": "true"},
    **{"training__text_encoder_2_learning_rate": "1e-5", "training__steps": "4", "training__checkpoint_every": "2"},
    **{"prior__count": "4", "training__validate_every": "2", "sampling__count": "1"},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where the commands stand: the base as a folder in diffusers' format, photographs, and a run."""
    folder = tmp_path_factory.mktemp("xl")
    tokenizer = Tokenizer(TINY_WORLD_VOCABULARY.read_bytes(), max_length=32)
    export_base(StableDiffusionBase(tiny_xl_config(tokenizer.vocabulary_size), tokenizer), folder / "tiny-xl")
    write_photos(folder / "photos")
    done = call(folder, "train", *flags(**RUN))
    assert done.code == 0, done.err
    return folder


def called(place, *line, **environment):
    done = call(place, *line, **environment)
    assert done.code == 0, done.err
    return done


@pytest.mark.large
def test_train(place):
    """What it leaves: the model, and its LoRA with the names of kohya's trainer for XL."""
    names = {
        name.split("_text_model")[0] for name in load_file(place / "run" / "dog-lora.safetensors") if "_te" in name
    }
    assert names == {"lora_te1", "lora_te2"}
    assert any("lora_unet_input_blocks" in name for name in load_file(place / "run" / "dog-lora.safetensors"))


@pytest.mark.huge
def test_resumed(place):
    """The same weights, bit for bit, as a run that was not killed."""
    log = place / "again" / "log.csv"
    process = start(place, *flags(**RUN, output__folder="again"))
    assert kill_at(process, lambda: log.exists() and log.read_text().count("\n") > 3)
    called(place, "train", "--resume", "again")
    one, two = (load_file(place / name / "dog-lora.safetensors") for name in ("run", "again"))
    for name, weights in one.items():
        np.testing.assert_array_equal(two[name], weights)


@pytest.mark.large
def test_generate_and_export(place):
    called(place, "generate", "run/dog.keras", "a photo of sks dog!", "--count", 2, "--steps", 2, "--output", "drawn")
    pictures = [np.asarray(Image.open(path)) for path in sorted((place / "drawn").glob("*.png"))]
    assert all(picture.std() > 0 for picture in pictures)
    called(place, "export", "run/dog.keras", "--output", "out")
    index = json.loads((place / "out" / "model_index.json").read_text())
    assert index["_class_name"] == "StableDiffusionXLPipeline" and index["force_zeros_for_empty_prompt"]
    called(place, "export", "run/dog.keras", "--output", "lora.safetensors", "--format", "lora")
    base, kept = (load_base(place / name) for name in ("out", "run/dog.keras"))
    for name, part in kept.components.items():
        for ours, theirs in zip(part.weights, base.components[name].weights, strict=True):
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.huge
def test_full_with_everything(place):
    """All weights, Adafactor, gradient checkpointing, min-SNR, averages; encoders in each step."""
    options = {"lora__rank": "0", "training__optimizer": "adafactor", "training__gradient_checkpointing": "true"}
    options |= {"training__min_snr_gamma": "5", "training__ema_momentum": "0.9", "training__cache_latents": "false"}
    called(place, "train", *flags(**RUN | options, output__folder="full"))


@pytest.mark.huge
def test_devices(place):
    """Two share a step: the LoRA of one, up to rounding."""
    for devices in "12":
        line = flags(**RUN, output__folder=f"on-{devices}")
        called(place, "train", *line, "--devices", devices, **several_devices(2))
    one, two = (load_file(place / f"on-{devices}" / "dog-lora.safetensors") for devices in "12")
    for name, weights in one.items():
        np.testing.assert_allclose(two[name], weights, rtol=1e-4, atol=1e-6)


@pytest.mark.huge
def test_shared_weights(place):
    """Each of two devices keeps a part of the weights: the LoRA of one, up to rounding."""
    for name, devices, more in (("whole", "1", []), ("shared", "2", ["--sharding", "model"])):
        line = flags(**RUN, output__folder=name)
        called(place, "train", *line, "--devices", devices, *more, **several_devices(2, "jax"))
    one, two = (load_file(place / name / "dog-lora.safetensors") for name in ("whole", "shared"))
    for name, weights in one.items():
        np.testing.assert_allclose(two[name], weights, rtol=1e-4, atol=1e-6)


@pytest.mark.huge
def test_sweep(place):
    """Two runs, each drawn in two ways, and a picture of all; with small encoders in the places of DINO and CLIP."""
    sizes = {"subject.photos": "photos", "subject.class_noun": "dog", "sampling.steps": 1, "prior.steps": 1}
    sizes |= {"sweep.count": 1, "sweep.class_count": 2, "sweep.prompts": '["a photo of {} in the snow"]'}
    line = [part for name, value in sizes.items() for part in (f"--{name}", value)]
    grid = {"base_config": "dreambooth_lora_prior", "sweep": {"grid": {"training.learning_rate": [1e-4, 2e-4]}}}
    grid["sweep"]["draw"] = {"sampling.guidance_scale": [1, 4]}
    (place / "sweep.yaml").write_text(json.dumps(grid))
    own = [f"--{name.replace('__', '.')}={value}" for name, value in RUN.items()]
    encoders = [part for name in ("dino", "clip") for part in (f"--{name}", write_model(place / name, name))]
    called(place, "sweep", "sweep.yaml", "--output", "sweep", *own, *line, *encoders, **eager_cells())
    table = (place / "sweep" / "table.md").read_text()
    assert table.count("learning_rate 0.0002") >= 2 and "not measured" not in table
    assert (place / "sweep" / "grid.png").exists()
