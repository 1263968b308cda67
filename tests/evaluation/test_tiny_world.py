"""Subjects, prompts, and how well pictures follow them, on renders whose truth is known."""

import numpy as np
import pytest

from keras_booth.evaluation import (
    PHOTO_SETTINGS,
    PROMPT_SETTINGS,
    SUBJECTS,
    agreement,
    base_prompts,
    load_judge,
    render_photos,
)
from keras_booth.tiny_world.scenes import random_scene, render


@pytest.fixture(scope="module")
def judge():
    return load_judge()


class TestPrompts:
    def test_say_what_is_wanted(self):
        prompts, wanted = base_prompts(50)
        for prompt, *values in zip(prompts, *wanted.values(), strict=True):
            said = prompt.replace("stripes", "striped").replace("spots", "spotted")
            assert all(value in said or value == "plain" for value in values if value is not None)
        named = {name: sum(value is not None for value in values) for name, values in wanted.items()}
        assert named["class_noun"] == named["main_color"] == named["setting"] == 50
        assert named["second_color"] == named["pattern"] == 25 > named["accessory"] > 5

    def test_what_is_left_open_does_not_count(self, judge):
        rng = np.random.default_rng(2)
        scenes = [random_scene(rng, accessory="hat") for _ in range(4)]
        pictures = np.stack([render(scene) for scene in scenes])
        wanted = {"accessory": ["hat", None, "scarf", None], "pattern": [None] * 4}
        assert agreement(judge, pictures, wanted) == {"accessory": 0.5}

    def test_agreement_with_the_truth(self, judge):
        rng = np.random.default_rng(1)
        scenes = [random_scene(rng) for _ in range(40)]
        settings = {"setting": [scene.setting for scene in scenes]}
        assert agreement(judge, np.stack([render(scene) for scene in scenes]), settings)["setting"] >= 0.97


def test_settings_of_photographs_are_not_asked_for():
    assert not set(PHOTO_SETTINGS) & set(PROMPT_SETTINGS)


def test_subjects_are_of_different_classes():
    assert len({look.class_noun for look in SUBJECTS}) == len(SUBJECTS)


def test_photographs(tmp_path):
    folder = render_photos(SUBJECTS[0], tmp_path / "dog")
    assert len(list(folder.iterdir())) == len(PHOTO_SETTINGS)
    again = render_photos(SUBJECTS[0], tmp_path / "again", prompt="a photo of sks dog")
    assert [path.suffix for path in sorted(again.iterdir())] == [".png", ".txt"] * len(PHOTO_SETTINGS)
    assert (again / "03.txt").read_text() == f"a photo of sks dog {PHOTO_SETTINGS[3]}\n"
