"""AUTOMATIC1111's `parameters` text, read as its format says.

The last line holds `name: value` pairs between commas, at least three; a value with a comma, a colon or a line break is
a JSON string. Above it is the prompt, and after "Negative prompt:" the negative one.
"""

import json

import numpy as np
import pytest

from keras_booth.bases import DrawSettings
from keras_booth.diffusion import SAMPLERS, NoiseSchedule, Sampling
from keras_booth.workflow.picture_files import infotext as module
from keras_booth.workflow.picture_files.infotext import infotext


def parse(text):
    """`(prompt, negative prompt, dict of settings)`."""
    *lines, last = text.split("\n")
    prompt, _, negative = "\n".join(lines).partition("Negative prompt:")
    settings, decoder = {}, json.JSONDecoder()
    while last:
        name, _, last = last.partition(":")
        last = last.lstrip()
        if last.startswith('"'):
            value, end = decoder.raw_decode(last)
            last = last[end:].lstrip(", ")
        else:
            value, _, last = last.partition(",")
        settings[name.strip()] = value.strip()
    return prompt.strip(), negative.strip(), settings


def draw(sampler="dpmpp_2m", karras=True, rho=None, **fields):
    return DrawSettings(Sampling(sampler, 10, karras=karras, rho=rho), **({"guidance_scale": 3.0} | fields))


def test_all_settings():
    text = infotext("a photo of sks dog", draw(), (64, 96), NoiseSchedule(), seed=7, model="runs/a, b/dog.keras")
    assert text.startswith(
        "a photo of sks dog\nSteps: 10, Sampler: DPM++ 2M Karras, CFG scale: 3, Seed: 7, Size: 96x64"
    )
    prompt, negative, settings = parse(text)
    assert (prompt, negative) == ("a photo of sks dog", "")
    assert settings.pop("Version").startswith("keras_booth ")
    assert settings == {
        "Steps": "10",
        "Sampler": "DPM++ 2M Karras",
        "CFG scale": "3",
        "Seed": "7",
        "Size": "96x64",
        "Model": "dog",
    }


def test_prompts_that_could_be_taken_for_something_else():
    prompt = "a dog,\nNegative prompt: none, Steps: 3, (red:1.2)"
    settings = draw(karras=False, negative_prompt="blurry: very,\nSteps: 1", guidance_scale=7.5, strength=0.65)
    text = infotext(prompt, settings, (64, 64), NoiseSchedule(), seed=0, index=2, model='my "dog", the 2nd: new')
    assert text.count("\n") == 2
    _, negative, settings = parse(text.replace("Negative prompt: none", ""))
    assert negative == "blurry: very, Steps: 1"
    assert settings["Model"] == 'my "dog", the 2nd: new'
    assert settings["Denoising strength"] == "0.65" and settings["CFG scale"] == "7.5" and settings["Index"] == "2"
    assert settings["Sampler"] == "DPM++ 2M"


def test_levels_that_are_not_the_usual_ones():
    """AUTOMATIC1111 spaces as many levels as there are steps from the highest to "Schedule min sigma"."""
    settings, schedule = draw(rho=3.0), NoiseSchedule()
    found = parse(infotext("a dog", settings, (64, 64), schedule, seed=0))[2]
    rho, lowest, highest = float(found["Schedule rho"]), float(found["Schedule min sigma"]), schedule.sigmas[-1]
    theirs = np.linspace(highest ** (1 / rho), lowest ** (1 / rho), int(found["Steps"])) ** rho
    np.testing.assert_allclose(theirs, settings.sampling.path(schedule).sigmas[:-1], rtol=1e-3)
    assert "Schedule" not in infotext("a dog", draw(rho=3.0, karras=False), (64, 64), schedule, seed=0)


def test_every_sampler_has_their_name():
    assert module.SAMPLERS.keys() == SAMPLERS.keys()


@pytest.mark.parametrize(
    "model, name",
    [
        ("hf://owner/name", "name"),
        ("folder/my.model", "my.model"),
        ("a/b.safetensors", "b"),
        ("tiny_world", "tiny_world"),
        ("folder/", "folder"),
    ],
)
def test_names_of_models(model, name):
    assert parse(infotext("a dog", draw(), (64, 64), NoiseSchedule(), seed=0, model=model))[2]["Model"] == name
