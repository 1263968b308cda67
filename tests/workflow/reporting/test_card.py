"""The model's card says whose licence, which prompt, and what it is not for."""

import pytest
import yaml

from keras_booth.workflow.config import sample_prompts
from keras_booth.workflow.parsing import parse_config
from keras_booth.workflow.reporting.card import model_card
from keras_booth.workflow.reporting.page import settings_rows
from keras_booth.workflow.subjects import fill_prompts

REQUIRED = ["--subject.photos", "photos", "--subject.class_noun", "dog"]


def card(*flags):
    """`(head, text)` of the card of a run."""
    config = fill_prompts(parse_config([*REQUIRED, *flags]))
    prompts = sample_prompts([(config.subject.instance_prompt, config.subject.class_prompt)])
    text = model_card(config.replace("sampling", prompts=prompts), ["dog.keras"])
    _, head, body = text.split("---\n", 2)
    return yaml.safe_load(head), body


class TestCard:
    @pytest.mark.parametrize(
        "preset, licence, base",
        [
            ("tiny_world", "apache-2.0", None),
            ("stable_diffusion_1.4", "creativeml-openrail-m", "CompVis/stable-diffusion-v1-4"),
            ("hf://some/model/file.safetensors", "other", "some/model"),
            ("model.safetensors", "other", None),
        ],
    )
    def test_licence_is_the_bases(self, preset, licence, base):
        head, body = card("--base.preset", preset)
        assert head["license"] == licence and head.get("base_model") == base
        assert "## Licence" in body and "That of the base" in body

    def test_what_the_hub_reads(self):
        head, body = card("--lora.rank", "4")
        assert head["instance_prompt"] == "a photo of sks dog" and "lora" in head["tags"]
        assert head["pipeline_tag"] == "text-to-image" and head["widget"][0]["text"].startswith("a photo of sks dog")
        assert 'keras.saving.load_model("dog.keras")' in body and "LoRA of rank 4" in body

    def test_how_it_was_trained(self):
        _, body = card("--lora.rank", "4", "--training.text_encoder=true", "--prior.target", "base")
        assert "a LoRA of rank 4 on the UNet and the text encoder." in body
        assert "kept the class what it was, held against what the base predicts, weighed 1." in body

    def test_says_what_it_is_not_for(self):
        _, body = card("--prior.loss_weight", "0")
        assert "not for pictures of people who have not agreed" in body
        assert "No class images were used" in body


def test_settings_are_all_that_is_said():
    rows = dict(settings_rows(parse_config([*REQUIRED, "--subject.flip", "true", "--base.image_size", "[96, 128]"])))
    assert rows["subject.flip"] == "true" and rows["base.image_size"] == "96, 128"
    assert "base.vae" not in rows and rows["training.steps"] == "800"
