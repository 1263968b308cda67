"""What other programs show of a LoRA's file: sd-scripts' fields and ModelSpec's."""

import json

import pytest
from safetensors import safe_open

from keras_booth.bases import shape_of
from keras_booth.dreambooth import LoraConfig
from keras_booth.dreambooth.lora.files import write_lora
from tests.helpers.booths import full_size_config, small_booth


@pytest.fixture(scope="module")
def booth():
    return small_booth(lora=LoraConfig(rank=2, alpha=8.0, targets=("attention", "convolution")))


def metadata(path):
    with safe_open(path, "numpy") as file:
        return file.metadata()


PROMPTS = {"my_dog": {"a photo of sks dog": 4, "sks dog, schlafend im Körbchen": 1}}


@pytest.mark.parametrize(
    "version, prediction_type, second, name, architecture",
    [
        (1, "epsilon", "False", "sd_v1", "stable-diffusion-v1/lora"),
        (2, "epsilon", "True", "sd_v2", "stable-diffusion-v2-512/lora"),
        (2, "v_prediction", "True", "sd_v2_v", "stable-diffusion-v2-768-v/lora"),
    ],
)
def test_kohya(booth, tmp_path, version, prediction_type, second, name, architecture):
    """Of the three that sd-scripts trains."""
    config, layers = full_size_config(version, prediction_type).named("my-base"), booth.adapters.layers
    write_lora(layers, tmp_path / "dog-lora.safetensors", shape_of(config), subjects=("sks dog",), prompts=PROMPTS)
    found = metadata(tmp_path / "dog-lora.safetensors")
    assert json.loads(found.pop("ss_tag_frequency")) == PROMPTS
    assert json.loads(found.pop("ss_network_args")) == {"conv_dim": "2", "conv_alpha": "8.0"}
    assert {key: value for key, value in found.items() if key.startswith("ss_")} == {
        "ss_network_module": "networks.lora",
        "ss_network_dim": "2",
        "ss_network_alpha": "8.0",
        "ss_output_name": "dog-lora",
        "ss_sd_model_name": "my-base",
        "ss_v2": second,
        "ss_base_model_version": name,
    }
    assert found["format"] == "pt"
    assert found["modelspec.architecture"] == architecture
    assert found["modelspec.title"] == found["modelspec.trigger_phrase"] == "sks dog"


def test_of_a_base_that_is_no_stable_diffusion(booth, tmp_path):
    """The model's own words are taken, and nothing says Stable Diffusion."""
    for layout in ("kohya", "diffusers"):
        booth.save_lora(tmp_path / "lora.safetensors", layout=layout)
        found = metadata(tmp_path / "lora.safetensors")
        assert found["modelspec.trigger_phrase"] == "sks dog"
        assert not {"ss_v2", "ss_base_model_version", "modelspec.architecture", "modelspec.sai_model_spec"} & set(found)
        assert "stable-diffusion" not in " ".join(found.values())
        assert ("ss_tag_frequency" in found) == (layout == "kohya")
        if layout == "kohya":
            assert json.loads(found["ss_tag_frequency"]) == {"sks dog": {"a photo of sks dog": 1}}


def test_the_same_at_a_date_that_is_set(booth, tmp_path, monkeypatch):
    """safetensors writes the fields in an order of its own, so that the bytes are not the same."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        booth.save_lora(tmp_path / name / "lora.safetensors")
        found.append(metadata(tmp_path / name / "lora.safetensors"))
    assert found[0] == found[1]
    assert found[0]["modelspec.date"] == "1970-01-01T00:00:00+00:00"
