"""The judge as a metric, on renders whose truth is known."""

import numpy as np
import pytest

from keras_booth.evaluation import SUBJECTS, load_judge
from keras_booth.evaluation.metrics.judge import ClassRead, SubjectRead
from keras_booth.evaluation.tiny_world import PHOTO_SETTINGS, PROMPT_SETTINGS
from keras_booth.tiny_world.scenes import Look, Scene, random_look, random_scene, render
from keras_booth.tools.errors import InputError

LOOK = SUBJECTS[0]
OTHER = Look("dog", "green", "white", "plain", "none")


@pytest.fixture(scope="module")
def judge():
    return load_judge()


def renders(look, settings, size=128):
    return [render(Scene(look, setting, seed), size) for seed, setting in enumerate(settings)]


@pytest.fixture(scope="module")
def photographs():
    """Larger than the judge's pictures."""
    return renders(LOOK, PHOTO_SETTINGS, 192)


def values(metric, *arguments):
    return {name: found.value for name, found in metric.score(*arguments).items()}


@pytest.mark.parametrize("look", SUBJECTS, ids=lambda look: look.class_noun)
def test_every_subject_is_read(judge, look):
    settings = PROMPT_SETTINGS * 2
    prompts = [f"a photo of a {look.class_noun} {setting}" for setting in settings]
    found = values(SubjectRead(lambda: judge), renders(look, settings), renders(look, PHOTO_SETTINGS, 192), prompts)
    assert found["fidelity"] >= 0.85 and found["setting"] >= 0.95


def test_subject_and_setting(judge, photographs):
    metric = SubjectRead(lambda: judge)
    prompts = [f"a photo of a dog {setting}" for setting in PROMPT_SETTINGS]
    right, wrong = renders(LOOK, PROMPT_SETTINGS), renders(OTHER, PROMPT_SETTINGS)
    assert values(metric, right, photographs, prompts) == {"fidelity": 1, "setting": 1}
    assert values(metric, wrong, photographs, prompts) == {"fidelity": 0, "setting": 1}
    shifted = prompts[1:] + prompts[:1]
    assert values(metric, right, photographs, shifted) == {"fidelity": 1, "setting": 0}
    half = right[:4] + wrong[4:]
    assert values(metric, half, photographs, prompts)["fidelity"] == 0.5


def test_a_prompt_without_a_setting(judge, photographs):
    assert values(SubjectRead(lambda: judge), photographs, photographs, ["a photo of a dog"] * 4) == {"fidelity": 1}


def test_something_to_wear(judge, photographs):
    """What the prompt asks for is right, and the subject's own is, too: the prompt may have meant one more."""
    metric = SubjectRead(lambda: judge)
    with_hat = Look(**{**vars(LOOK), "accessory": "hat"})
    pictures = renders(with_hat, PROMPT_SETTINGS)
    prompts = [f"a photo of a dog wearing a hat {setting}" for setting in PROMPT_SETTINGS]
    assert values(metric, pictures, photographs, prompts)["fidelity"] == 1
    assert values(metric, renders(LOOK, PROMPT_SETTINGS), photographs, prompts)["fidelity"] == 1
    without = [prompt.replace(" wearing a hat", "") for prompt in prompts]
    assert values(metric, pictures, photographs, without)["fidelity"] == 0


def test_the_class(judge, photographs):
    metric, rng = ClassRead(lambda: judge), np.random.default_rng(0)
    looks = [random_look(rng, class_noun="dog") for _ in range(60)]
    found = values(metric, [render(random_scene(rng, look=look)) for look in looks], photographs, ["a dog"] * 60)
    # Two random looks differ in 7/8, 7/8, 2/3 and 0.72 of the attributes.
    assert found["diversity"] == pytest.approx((7 / 8 + 7 / 8 + 2 / 3 + 0.72) / 4, abs=0.06)
    like = [(look.main_color, look.pattern) == (LOOK.main_color, LOOK.pattern) for look in looks]
    assert found["drift"] == pytest.approx(np.mean(like), abs=0.02) and found["class"] == 1
    same = values(metric, renders(LOOK, PROMPT_SETTINGS), photographs, ["a dog"] * len(PROMPT_SETTINGS))
    assert same == {"class": 1, "drift": 1, "diversity": 0}


def test_mistakes(judge, photographs):
    with pytest.raises(InputError, match="The judge needs photographs of the subject. Received: 0 photographs"):
        SubjectRead(lambda: judge).score(photographs, [], ["a dog"] * 4)
    with pytest.raises(InputError, match="judge of the class compares pictures with one another"):
        ClassRead(lambda: judge).score(photographs[:1], photographs, ["a dog"])
