"""The measures, on renders whose truth is known."""

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
    score_class,
    score_subject,
)
from keras_booth.tiny_world.scenes import Scene, random_look, random_scene, render


@pytest.fixture(scope="module")
def judge():
    return load_judge()


def renders(look, settings):
    return np.stack([render(Scene(look, setting, seed)) for seed, setting in enumerate(settings)])


class TestScores:
    @pytest.mark.parametrize("look", SUBJECTS, ids=lambda look: look.class_noun)
    def test_the_subject_itself(self, judge, look):
        settings = PROMPT_SETTINGS * 2
        score = score_subject(judge, renders(look, settings), look, settings)
        assert score.fidelity >= 0.85
        assert score.setting >= 0.95

    def test_another_look_is_not_the_subject(self, judge):
        score = score_subject(judge, renders(SUBJECTS[0], PROMPT_SETTINGS), SUBJECTS[1], PROMPT_SETTINGS)
        assert score.fidelity == 0
        assert score.attributes["class_noun"] == 0
        assert score.setting >= 0.95

    def test_wrong_setting(self, judge):
        settings = PROMPT_SETTINGS[1:] + PROMPT_SETTINGS[:1]
        score = score_subject(judge, renders(SUBJECTS[0], PROMPT_SETTINGS), SUBJECTS[0], settings)
        assert score.setting == 0

    def test_a_drifted_class(self, judge):
        score = score_class(judge, renders(SUBJECTS[0], PROMPT_SETTINGS), SUBJECTS[0])
        assert score.drift >= 0.9
        assert score.diversity <= 0.1
        assert score.class_noun == 1

    def test_a_diverse_class(self, judge):
        rng = np.random.default_rng(0)
        looks = [random_look(rng, class_noun="dog") for _ in range(60)]
        score = score_class(judge, np.stack([render(random_scene(rng, look=look)) for look in looks]), SUBJECTS[0])
        # One in 8 colors, one in 3 patterns; two random looks differ in 7/8, 7/8, 2/3 and 0.72 of the attributes.
        assert score.drift <= 0.15
        assert score.diversity == pytest.approx((7 / 8 + 7 / 8 + 2 / 3 + 0.72) / 4, abs=0.06)


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
