"""The learning rate over the steps of a run, against the closed form; and words that fit."""

import math

import keras
import pytest

from keras_booth.bases import Tokenizer
from keras_booth.dreambooth import LoraConfig
from keras_booth.tools.errors import InputError
from keras_booth.workflow.build import check_words, compile_booth, learning_rate, make_optimizer
from keras_booth.workflow.config import SubjectOptions, TrainingOptions
from keras_booth.workflow.parsing import parse_config
from tests.helpers.booths import small_booth
from tests.helpers.places import VOCABULARY


@pytest.mark.parametrize("words, fits", [("one two three", True), (" ".join(f"w{n}" for n in range(200)), False)])
def test_words_for_a_subject_fit_into_a_prompt(words, fits):
    tokenizer = Tokenizer(VOCABULARY.read_bytes(), max_length=32)
    subject = SubjectOptions(photos="photos", class_noun="dog", identifier=words)
    if fits:
        check_words(subject, tokenizer)
        return
    tokens = len(tokenizer.pieces(f"{words} dog"))
    with pytest.raises(
        InputError, match=f"^subject.identifier must be a rare word: with class_noun it has {tokens} tok"
    ):
        check_words(subject, tokenizer)


@pytest.mark.parametrize(
    "options, target",
    [
        (["lora.rank=2", "prior.target=base"], "base"),
        (["lora.rank=2"], "images"),
        (["lora.rank=0", "prior.target=base", "prior.ratio=0"], "images"),
    ],
)
def test_what_class_images_are_held_against(options, target):
    required = ["--subject.photos=photos", "--subject.class_noun=dog"]
    config = parse_config([*required, *(f"--{option}" for option in options)])
    booth = small_booth(lora=LoraConfig(2) if config.lora.rank else None)
    compile_booth(config, booth)
    assert booth.prior_target == target


def rate_at(step, **options):
    rate = learning_rate(TrainingOptions(steps=100, learning_rate=0.5, **options))
    return float(keras.ops.convert_to_numpy(rate(step))) if callable(rate) else rate


def test_constant():
    assert rate_at(0) == rate_at(99) == 0.5


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_warm_up(schedule):
    """Even steps from the first share to the whole, none of them 0."""
    rates = [rate_at(step, warmup_steps=4, learning_rate_schedule=schedule) for step in range(5)]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])


@pytest.mark.parametrize("warmup", [0, 20])
def test_cosine(warmup):
    for step in (20, 60, 99, 100):
        share = (step - warmup) / (100 - warmup)
        expected = 0.25 * (1 + math.cos(math.pi * share))
        assert rate_at(step, warmup_steps=warmup, learning_rate_schedule="cosine") == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"beta_1": "abc"}, "training.optimizer_arguments.beta_1 must be a number. Received: "),
        ({"weight_decay": "abc"}, "training.optimizer_arguments.weight_decay must be a number"),
        ({"clipvalue": "abc"}, "training.optimizer_arguments.clipvalue must be a number"),
        ({"amsgrad": "maybe"}, "training.optimizer_arguments.amsgrad must be true or false"),
        ({"name": 5.0}, "training.optimizer_arguments.name must be text"),
        (
            {"use_ema": True, "ema_overwrite_frequency": 0.0},
            "training.optimizer_arguments.ema_overwrite_frequency must be",
        ),
        (
            {"gradient_accumulation_steps": 0.0},
            "training.optimizer_arguments.gradient_accumulation_steps must be a whole",
        ),
        ({"nothing": 1.0}, "training.optimizer_arguments must be arguments of adamw"),
    ],
)
def test_arguments_of_an_optimizer(arguments, message):
    with pytest.raises(InputError) as caught:
        make_optimizer(TrainingOptions(optimizer_arguments=arguments))
    assert str(caught.value).startswith(message)


def test_sound_arguments_of_an_optimizer():
    arguments = {"beta_2": 0.9, "amsgrad": True, "gradient_accumulation_steps": 2, "name": "mine"}
    config = make_optimizer(TrainingOptions(optimizer_arguments=arguments)).get_config()
    assert {name: config[name] for name in arguments} == arguments
