"""What a `RunConfig` takes, refuses and fills in."""

import dataclasses

import pytest

from keras_booth.workflow.config import (
    BaseOptions,
    LoraOptions,
    OutputOptions,
    PriorOptions,
    RunConfig,
    SamplingOptions,
    SubjectOptions,
    TrainingOptions,
    sample_prompts,
)
from keras_booth.workflow.parsing import (
    parse_config,
)

REQUIRED = ["--subject.photos", "photos", "--subject.class_noun", "dog"]


class TestRunConfig:
    def test_defaults(self):
        config = RunConfig(subject=SubjectOptions(photos="photos", class_noun="dog"))
        assert config.base.preset == "tiny_world"
        assert config.prior.loss_weight == 1.0
        assert config.training.global_clipnorm == 1.0
        assert parse_config(REQUIRED) == config

    def test_replace(self):
        config = parse_config(REQUIRED).replace("training", steps=7)
        assert config.training.steps == 7
        with pytest.raises(ValueError, match="training.steps must be >= 1. Received: training.steps=0"):
            config.replace("training", steps=0)

    def test_frozen(self):
        with pytest.raises(dataclasses.FrozenInstanceError):
            parse_config(REQUIRED).training.steps = 3

    @pytest.mark.parametrize(
        "options, fields, message",
        [
            (PriorOptions, {"loss_weight": -1.0}, "prior.loss_weight must be >= 0. Received: prior.loss_weight=-1.0"),
            (PriorOptions, {"loss_weight": float("nan")}, "prior.loss_weight must be a finite number"),
            (PriorOptions, {"count": 0}, "prior.count must be >= 1"),
            (PriorOptions, {"ratio": -0.5}, "prior.ratio must be >= 0"),
            (PriorOptions, {"settings": ()}, "prior.settings must be null or at least one. Received: prior.settings="),
            (PriorOptions, {"settings": ("in the snow", " ")}, "prior.settings must be a text. Received: "),
            (PriorOptions, {"folder": ""}, "prior.folder must be a folder or null"),
            (PriorOptions, {"guidance_scale": -2.0}, "prior.guidance_scale must be >= 0"),
            (TrainingOptions, {"steps": 0}, "training.steps must be >= 1"),
            (TrainingOptions, {"batch_size": 0}, "training.batch_size must be >= 1"),
            (TrainingOptions, {"learning_rate": 0.0}, "training.learning_rate must be > 0"),
            (TrainingOptions, {"global_clipnorm": 0.0}, "training.global_clipnorm must be > 0"),
            (TrainingOptions, {"seed": -1}, "training.seed must be >= 0"),
            (SamplingOptions, {"count": 0}, "sampling.count must be >= 1"),
            (SamplingOptions, {"prompts": ()}, "sampling.prompts must be a list of prompts, none empty"),
            (SamplingOptions, {"prompts": ("a", " ")}, "sampling.prompts must be a list of prompts, none empty"),
            (SamplingOptions, {"steps": 0}, "sampling.steps must be >= 1"),
            (OutputOptions, {"folder": " "}, "output.folder must be a folder"),
        ],
    )
    def test_refuses(self, options, fields, message):
        with pytest.raises(ValueError) as error:
            options(**fields)
        assert str(error.value).startswith(message)
        assert f"Received: {message.split()[0]}=" in str(error.value)

    @pytest.mark.parametrize("identifier", ["dog", " Dog "])
    def test_identifier_must_differ_from_class(self, identifier):
        with pytest.raises(ValueError, match="subject.identifier must differ from subject.class_noun"):
            SubjectOptions(photos="photos", class_noun="dog", identifier=identifier)

    @pytest.mark.parametrize("fields", [{"loss_weight": 0.0}, {"ratio": 0.0}])
    def test_prior_can_be_left_out(self, fields):
        assert PriorOptions().wanted
        assert not PriorOptions(**fields).wanted

    def test_default_prompts_end_with_the_class(self):
        prompts = sample_prompts([("a photo of sks dog", "a photo of a dog")])
        assert prompts[0] == "a photo of sks dog in the snow"
        assert prompts[-1] == "a photo of a dog"


def test_half_precision_is_for_lora():
    base, lora = BaseOptions(dtype="bfloat16"), LoraOptions(rank=4)
    subject = SubjectOptions(photos="photos", class_noun="dog")
    assert RunConfig(subject=subject, base=base, lora=lora).base.dtype == "bfloat16"
    with pytest.raises(ValueError, match="Set lora.rank, or base.dtype mixed_bfloat16"):
        RunConfig(subject=subject, base=base)


def test_the_bases_prediction_is_for_lora():
    """As the target of class images; where there are none nobody asks."""
    subject = SubjectOptions(photos="photos", class_noun="dog")
    assert RunConfig(subject=subject, prior=PriorOptions(target="base"), lora=LoraOptions(rank=4))
    assert RunConfig(subject=subject, prior=PriorOptions(target="base", loss_weight=0.0))
    with pytest.raises(ValueError, match="Set lora.rank, or prior.target images. Received: prior.target=base, lora.ra"):
        RunConfig(subject=subject, prior=PriorOptions(target="base"))


@pytest.mark.parametrize(
    "options, fields, message",
    [
        (TrainingOptions, {"steps": "5"}, "training.steps must be a whole number. Received: training.steps='5'"),
        (TrainingOptions, {"steps": True}, "training.steps must be a whole number"),
        (TrainingOptions, {"learning_rate": float("inf")}, "training.learning_rate must be a finite number"),
        (TrainingOptions, {"global_clipnorm": float("inf")}, "training.global_clipnorm must be a finite number"),
        (TrainingOptions, {"optimizer": "magic"}, "training.optimizer must be adamw or adam or lion"),
        (
            TrainingOptions,
            {"optimizer_arguments": {"a": None}},
            "training.optimizer_arguments must be a group of names",
        ),
        (TrainingOptions, {"optimizer_arguments": {5: 1.0}}, "training.optimizer_arguments must be a group of names"),
        (PriorOptions, {"count": 10**9}, "prior.count must be at most 1000000. Received: prior.count=1000000000"),
        (PriorOptions, {"folder": " "}, "prior.folder must be a folder or null"),
        (LoraOptions, {"targets": "attention"}, "lora.targets must be a list of any of attention or feed_forward"),
        (LoraOptions, {"targets": ("nose",)}, "lora.targets must be a list of any of attention or feed_forward"),
        (LoraOptions, {"rank": 2049}, "lora.rank must be at most 2048"),
        (SamplingOptions, {"prompts": "a dog"}, "sampling.prompts must be a list of texts or null"),
        (SamplingOptions, {"prompts": (5,)}, "sampling.prompts must be a list of texts or null"),
        (SamplingOptions, {"prompts": ("a\0",)}, "sampling.prompts must be text without NUL characters"),
        (
            BaseOptions,
            {"image_size": (64,)},
            "base.image_size must be a whole number, a list of 2 whole numbers or null",
        ),
        (BaseOptions, {"image_size": (64, 0)}, "base.image_size must be >= 1"),
        (BaseOptions, {"preset": None}, "base.preset must be text. Received: base.preset=None"),
        (BaseOptions, {"preset": " "}, "base.preset must be a preset, a folder or a file"),
        (BaseOptions, {"vae": ""}, "base.vae must be a file or null"),
        (OutputOptions, {"folder": 5}, "output.folder must be text. Received: output.folder=5"),
        (OutputOptions, {"folder": "x" * 256}, "output.folder must be a path of 4096 bytes at most"),
    ],
)
def test_values_of_another_kind(options, fields, message):
    with pytest.raises(ValueError) as error:
        options(**fields)
    assert str(error.value).startswith(message)
    assert f"Received: {message.split()[0]}=" in str(error.value) and len(str(error.value)) < 400


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"subject": None}, "subject must be SubjectOptions. Received: subject=None"),
        ({"training": {"steps": 5}}, "training must be TrainingOptions. Received: training={'steps': 5}"),
        ({"more_subjects": 5}, "more_subjects must be a tuple of SubjectOptions. Received: more_subjects=5"),
        ({"more_subjects": ({},)}, "more_subjects must be a tuple of SubjectOptions. Received: more_subjects=({},)"),
    ],
)
def test_groups_of_another_kind(fields, message):
    with pytest.raises(ValueError) as error:
        RunConfig(**{"subject": SubjectOptions(photos="photos", class_noun="dog")} | fields)
    assert str(error.value) == message


@pytest.mark.parametrize("name", ["class_noun", "identifier", "instance_prompt", "class_prompt", "photos"])
@pytest.mark.parametrize("text", [" ", "", 5, "a\0b"])
def test_texts_of_a_subject(name, text):
    with pytest.raises(ValueError, match=rf"^subject.{name} must be .*Received: subject.{name}="):
        SubjectOptions(**{"photos": "photos", "class_noun": "dog"} | {name: text})
