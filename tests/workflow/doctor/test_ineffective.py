"""A sentence for each setting that changes nothing, and none for those that do."""

import pytest

from keras_booth.bases import DrawSettings
from keras_booth.diffusion import NoiseSchedule, Sampling
from keras_booth.workflow.doctor.ineffective import drawn_without_effect, without_effect
from keras_booth.workflow.doctor.report import diagnose
from keras_booth.workflow.parsing import parse_config
from keras_booth.workflow.pictures import PictureOptions
from tests.helpers.photographs import write_photos

REQUIRED = ["--subject.photos", "photos", "--subject.class_noun", "dog"]


def said(*options):
    return without_effect(parse_config([*REQUIRED, *(f"--{option}" for option in options)]))


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["lora.rank=4", "lora.alpha=2", "lora.targets=[feed_forward]"],
        ["training.text_encoder=true", "training.text_encoder_learning_rate=1e-6", "training.text_encoder_until=100"],
        ["prior.count=5", "prior.seed=1", "subject.class_prompt=a puppy"],
        ["prior.loss_weight=0"],
        ["prior.folder=dogs"],
        ["prior.folder=dogs", "prior.target=base", "lora.rank=4"],
        ["training.checkpoint_every=50", "training.keep_last=3", "sampling.every=800"],
        ["training.steps=50"],
        ["training.hold_out=1", "training.validate_every=50"],
        ["training.keep_best=50", "training.patience=3"],
        ["training.ema_momentum=0.99", "training.warmup_steps=100", "training.accumulation=4"],
        ["training.optimizer_arguments.beta_2=0.9", "training.weight_decay=0.1"],
    ],
)
def test_nothing_to_say(options):
    assert said(*options) == []


@pytest.mark.parametrize(
    "options, sentence",
    [
        (["lora.alpha=2"], "lora.alpha has no effect: lora.rank is 0, so there is no LoRA."),
        (["lora.alpha=2", "lora.targets=[convolution]"], "lora.alpha and lora.targets have no effect: "),
        (["training.text_encoder_until=3"], "training.text_encoder_until has no effect: the text encoder is not"),
        (["training.text_encoder_learning_rate=1e-6"], "training.text_encoder_learning_rate has no effect: "),
        (
            ["training.text_encoder=true", "training.text_encoder_until=800"],
            "training.text_encoder_until has no effect: the run ends after 800 steps.",
        ),
        (
            ["training.text_encoder=true", "training.text_encoder_until=3", "training.accumulation=4"],
            "training.text_encoder_until 3 keeps the text encoder as it is: the weights change after 4 steps",
        ),
        (["prior.loss_weight=0", "prior.count=5"], "prior.count has no effect: prior.loss_weight is 0, so there are"),
        (["prior.folder=x", "prior.settings=[in red]"], "prior.settings has no effect: the class images are your own"),
        (["prior.loss_weight=0", "prior.folder=x"], "prior.folder has no effect: prior.loss_weight is 0"),
        (["prior.ratio=0", "prior.target=base"], "prior.target has no effect: prior.ratio is 0"),
        (["prior.ratio=0", "prior.loss_weight=2"], "prior.loss_weight has no effect: prior.ratio is 0"),
        (["prior.loss_weight=0", "subject.class_images=x"], "subject.class_images has no effect: prior.loss_weight"),
        (["prior.loss_weight=0", "subject.class_prompt=x"], "subject.class_prompt has no effect: prior.loss_weight"),
        (["prior.folder=dogs", "prior.steps=5"], "prior.steps has no effect: the class images are your own"),
        (["training.checkpoint_every=0", "training.keep_last=3"], "training.keep_last has no effect: "),
        (["training.checkpoint_every=900"], "training.checkpoint_every has no effect: the run ends after 800 steps."),
        (["sampling.every=801"], "sampling.every has no effect: the run ends after 800 steps, where samples are"),
        (["training.warmup_steps=800"], "training.warmup_steps 800 is longer than the run of 800 steps"),
        (["training.ema_momentum=0.999"], "training.ema_momentum 0.999 averages about 1000 steps, the run has 800"),
        (["training.steps=3", "training.accumulation=4"], "training.accumulation 4 is larger than training.steps 3"),
        (["training.patience=3"], "training.patience has no effect: training.keep_best is 0, so nothing is measured."),
        (["training.keep_best=900"], "training.keep_best 900 is larger than training.steps 800: only the base and the"),
        (
            ["training.hold_out=1"],
            "training.hold_out 1 keeps photographs from training, and nothing looks at them: set",
        ),
        (
            ["training.optimizer_arguments={learning_rate: 1.0}"],
            "training.learning_rate has no effect: training.optimizer_arguments.learning_rate takes its place.",
        ),
        (["base.vocabulary=x", "base.preset=hf://a/b"], "base.vocabulary has no effect: the folder of the base"),
    ],
)
def test_said(options, sentence):
    (text,) = said(*options)
    assert text.startswith(sentence)
    assert text.endswith(".")


def test_the_doctor_says_it_too(tmp_path):
    photos = write_photos(tmp_path / "photos")
    config = parse_config(["--subject.photos", str(photos), "--subject.class_noun", "dog", "--lora.alpha", "2"])
    texts = [finding.text for finding in diagnose(config, quick=True) if finding.topic == "settings"]
    assert "lora.alpha has no effect: lora.rank is 0, so there is no LoRA." in texts


class TestDrawing:
    def said(self, scale=5.0, steps=20, others=None, sampler="ddim", **options):
        options = PictureOptions(**options)
        sampling = Sampling(sampler, steps, rho=options.rho)
        return drawn_without_effect(options, [DrawSettings(sampling, scale)], NoiseSchedule(), **(others or {}))

    def test_nothing_to_say(self):
        assert self.said() == []
        assert self.said(negative_prompt="cat", guidance_rescale=0.7, eta=0.5, image="x.png", strength=0.5) == []
        assert self.said(others={"lora": "x", "lora_scale": 0.5}) == []
        assert self.said(rho=3.0, sampler="dpmpp_2m") == []

    @pytest.mark.parametrize(
        "options, flag",
        [
            ({"scale": 1.0, "negative_prompt": "cat"}, "--negative-prompt"),
            ({"scale": 1.0, "guidance_rescale": 0.7}, "--guidance-rescale"),
            ({"strength": 0.5}, "--strength"),
            ({"eta": 0.5, "steps": 1}, "--eta"),
            ({"rho": 3.0}, "--rho"),
            ({"others": {"lora_scale": 0.5}}, "--lora-scale"),
        ],
    )
    def test_said(self, options, flag):
        (text,) = self.said(**options)
        assert text.startswith(f"{flag} has no effect: ")
