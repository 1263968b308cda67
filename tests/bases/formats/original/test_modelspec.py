"""What files say of themselves: the architecture is told by sizes, and by sd-scripts' names."""

import dataclasses
import datetime

import pytest

from keras_booth.bases import PRESETS, stable_diffusion_version
from keras_booth.bases.formats.original.modelspec import SIZES, architecture, model_spec, warn_of_strangers
from keras_booth.bases.networks.autoencoder import AutoencoderConfig
from keras_booth.bases.tiny_world import tiny_world_config
from tests.helpers.booths import full_size_config, small_config
from tests.helpers.places import VOCABULARY


def test_presets():
    for preset, version in (("stable_diffusion_1.4", 1), ("stable_diffusion_2.1", 2), ("tiny_world", None)):
        describe, _ = PRESETS[preset]
        assert stable_diffusion_version(describe(VOCABULARY.read_bytes())[0]) == version


@pytest.mark.parametrize("version", [1, 2])
def test_sizes_and_not_the_name_tell(version):
    config = full_size_config(version)
    assert stable_diffusion_version(config) == version
    padded = dataclasses.replace(config.text_encoder, padding="!" if version == 1 else "<|endoftext|>")
    assert stable_diffusion_version(dataclasses.replace(config, text_encoder=padded, image_size=(768, 512))) == version
    other = SIZES[3 - version]
    strangers = [
        tiny_world_config(1000).named("stable_diffusion_1.4"),
        small_config(),
        full_size_config(version, unet=dataclasses.replace(other[0], context_width=config.unet.context_width)),
        full_size_config(
            version,
            text_encoder=dataclasses.replace(
                other[1], width=config.text_encoder.width, heads=config.text_encoder.heads
            ),
        ),
        full_size_config(
            version, unet=dataclasses.replace(config.unet, widths=(320, 640, 1280, 1280, 1280)[:3], heads=(8, 8, 8))
        ),
        full_size_config(version, text_encoder=dataclasses.replace(config.text_encoder, layers=11)),
        full_size_config(version, autoencoder=AutoencoderConfig(widths=(64, 128, 256, 256))),
        full_size_config(version, latent_scale=0.13025),
    ]
    for stranger in strangers:
        assert stable_diffusion_version(stranger) is None
        assert architecture(stranger) is None


@pytest.mark.parametrize(
    "version, prediction_type, name",
    [
        (1, "epsilon", "stable-diffusion-v1"),
        (2, "epsilon", "stable-diffusion-v2-512"),
        (2, "v_prediction", "stable-diffusion-v2-768-v"),
    ],
)
def test_of_stable_diffusion(monkeypatch, version, prediction_type, name):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    config = full_size_config(version, prediction_type, image_size=(512, 768))
    common = {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.date": "2023-11-14T22:13:20+00:00",
        "modelspec.resolution": "768x512",
        "modelspec.prediction_type": "v" if prediction_type == "v_prediction" else "epsilon",
    }
    generative_models = "https://github.com/Stability-AI/generative-models"
    assert model_spec(config) == common | {
        "modelspec.architecture": name,
        "modelspec.implementation": generative_models,
        "modelspec.title": "any name",
    }
    assert model_spec(config, ["sks dog", "zwx cat"], adapter="lora") == common | {
        "modelspec.architecture": f"{name}/lora",
        "modelspec.implementation": "diffusers",
        "modelspec.title": "sks dog, zwx cat",
        "modelspec.trigger_phrase": "sks dog, zwx cat",
    }


def test_of_another_base(monkeypatch):
    """It names no architecture, and so claims no model spec."""
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    before = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    found = model_spec(tiny_world_config(1000), ["sks dog"])
    assert (
        before <= datetime.datetime.fromisoformat(found.pop("modelspec.date")) <= before + datetime.timedelta(minutes=1)
    )
    assert found == {
        "modelspec.title": "sks dog",
        "modelspec.trigger_phrase": "sks dog",
        "modelspec.resolution": "128x128",
        "modelspec.prediction_type": "v",
    }


def test_what_other_programs_take_for_something_else_is_said(caplog):
    for version, prediction_type, whole in (
        (1, "epsilon", True),
        (1, "v_prediction", False),
        (2, "v_prediction", True),
    ):
        warn_of_strangers(full_size_config(version, prediction_type), whole)
    assert caplog.text == ""
    warn_of_strangers(full_size_config(1, "v_prediction"), whole=True)
    assert "predicts v: in ComfyUI put the node ModelSamplingDiscrete" in caplog.text
