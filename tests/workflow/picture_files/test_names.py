"""What is drawn otherwise has another name."""

import dataclasses
import itertools

import numpy as np
import pytest
from PIL import Image

from keras_booth.bases import DrawSettings
from keras_booth.diffusion import Sampling
from keras_booth.workflow.picture_files.names import free_path, picture_name, sheet_name
from keras_booth.workflow.pictures import Picture, PictureOptions, write_picture

OWN = DrawSettings(Sampling("ddim", 50), 7.5)
NOTHING = {"image": None, "lora": None, "merge_tokens": None}


def picture(prompt="a dog", seed=0, index=0, sampling=(), **settings):
    sampling = dataclasses.replace(OWN.sampling, **dict(sampling))
    return Picture(None, prompt, seed, index, dataclasses.replace(OWN, sampling=sampling, **settings))


def test_the_models_own_settings_go_without_saying():
    assert picture_name(picture(), OWN, NOTHING) == "a-dog-seed0-00"
    assert picture_name(picture(), OWN, NOTHING, matrix=True) == "a-dog-seed0-00-steps50-scale7.5"


def test_steps_and_guidance_are_spelled_out():
    assert picture_name(picture(sampling={"steps": 20}), OWN, NOTHING) == "a-dog-seed0-00-steps20"
    assert picture_name(picture(guidance_scale=5.0), OWN, NOTHING) == "a-dog-seed0-00-scale5"


def test_every_setting_has_its_name():
    pictures = [
        *(picture(), picture(seed=1), picture(index=1), picture("a dog!"), picture("A dog")),
        *(picture(sampling={"steps": steps}) for steps in (1, 20, 51)),
        *(picture(sampling={"sampler": sampler}) for sampler in ("euler", "euler_ancestral", "dpmpp_2m")),
        *(
            picture(sampling=change)
            for change in ({"spacing": "trailing"}, {"karras": True}, {"rho": 3.0}, {"eta": 0.5})
        ),
        *(picture(guidance_scale=scale) for scale in (1.0, 7.0, 7.5000001, 75.0)),
        *(
            picture(guidance_rescale=0.7),
            picture(negative_prompt="cat"),
            picture(negative_prompt="Cat"),
            picture(strength=0.5),
        ),
    ]
    names = [picture_name(one, OWN, NOTHING) for one in pictures]
    others = [{"image": "aa"}, {"image": "bb"}, {"lora": ["x", 1.0]}, {"lora": ["x", 0.5]}, {"merge_tokens": 0.5}]
    names += [picture_name(picture(), OWN, NOTHING | other) for other in others]
    for one, two in itertools.combinations(names, 2):
        assert one.casefold() != two.casefold()


def test_every_sheet_has_its_name():
    cases = [({}, {}), ({"seed": (0, 1)}, {}), ({"seed": (0, 2)}, {}), ({}, {"guidance_scale": 3.0})]
    cases += [({"steps": (1, 2)}, {}), ({"steps": (1, 3)}, {}), ({"steps": (1, 2)}, {"negative_prompt": "cat"})]
    names = {sheet_name([picture(**settings)], OWN, NOTHING, PictureOptions(**options)) for options, settings in cases}
    assert len(names) == len(cases)
    assert "a-dog-seed0-grid" in names


@pytest.mark.parametrize("notes, name", [({"model": "a.keras"}, "x.png"), ({"model": "b.keras"}, None), ({}, None)])
def test_pictures_of_other_models_stay(tmp_path, notes, name):
    picture = Image.fromarray(np.zeros((8, 8, 3), "uint8"))
    assert free_path(tmp_path, "x", "a.keras").name == "x.png"
    write_picture(tmp_path / "x.png", picture, notes)
    path = free_path(tmp_path, "x", "a.keras")
    assert path.name == name if name else path.name.startswith("x-")
