"""A `.keras` file as a base: what was trained is what one trains on from."""

import json
import logging
import zipfile

import numpy as np
import pytest

from keras_booth.bases import describe_base, load_base
from keras_booth.bases.formats.archive import CLASS, VOCABULARY_FILE, WEIGHTS_FILE
from keras_booth.dreambooth import DreamBooth, LoraConfig
from tests.helpers.booths import small_booth


@pytest.fixture(scope="module")
def booth():
    """A model with LoRA of which every matrix counts."""
    targets = ("attention", "feed_forward", "convolution")
    lora = LoraConfig(rank=2, alpha=3.0, targets=targets)
    booth = small_booth(prediction_type="v_prediction", lora=lora, train_text_encoder=True)
    rng = np.random.default_rng(0)
    for variable in booth.adapters.variables:
        variable.assign(0.1 * rng.standard_normal(variable.shape))
    return booth


@pytest.fixture(scope="module")
def path(booth, tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "dog.keras"
    booth.save(path)
    return path


@pytest.fixture(scope="module")
def again(path):
    """Trained on from the file, with another subject."""
    return DreamBooth.from_preset(str(path), identifier="zwx", class_noun="cat", lora=LoraConfig(rank=1))


def test_config_and_vocabulary(booth, path, again):
    assert again.base.config == booth.base.config
    assert again.base.tokenizer.vocabulary == booth.base.tokenizer.vocabulary
    assert (again.identifier, again.class_noun) == ("zwx", "cat")
    assert describe_base(path)[0] == booth.base.config


def test_weights_with_the_lora_merged(booth, again):
    added = booth.adapters.added
    kernels = {id(layer.kernel) for layer in booth.adapters.layers.values()}
    for name, model in booth.base.components.items():
        matrices = {id(variable) for variable in booth.adapters.variables}
        ours = [variable for variable in model.weights if id(variable) not in matrices]
        fresh = {id(variable) for variable in again.adapters.variables}
        theirs = [variable for variable in again.base.components[name].weights if id(variable) not in fresh]
        assert len(ours) == len(theirs)
        for one, two in zip(ours, theirs, strict=True):
            if id(one) in kernels:
                np.testing.assert_allclose(one.numpy() + added(one), two.numpy(), atol=1e-6)
                assert np.abs(added(one)).max() > 1e-3
            else:
                np.testing.assert_array_equal(one.numpy(), two.numpy())


def test_it_counts_as_fine_tuned(booth, again, tmp_path, caplog):
    assert again.base.fine_tuned and not booth.base.fine_tuned
    with caplog.at_level(logging.WARNING, "keras_booth"):
        again.class_images(count=1, folder=tmp_path, steps=1)
    assert "fine-tuned already" in caplog.text


def test_half_precision_and_what_can_be_overruled(booth, tmp_path):
    path = tmp_path / "half.keras"
    booth.save(path, dtype="float16")
    base = load_base(path, image_size=32, dtype="mixed_bfloat16", zero_terminal_snr=True)
    for one, two in zip(booth.base.decoder.weights, base.decoder.weights, strict=True):
        np.testing.assert_array_equal(one.numpy().astype("float16").astype("float32"), two.numpy())
    assert base.config.image_size == (32, 32)
    assert base.config.schedule.zero_terminal_snr
    assert base.unet.layers[-1].dtype_policy.name == "mixed_bfloat16"
    assert describe_base(path, prediction_type="epsilon")[0].schedule.prediction_type == "epsilon"


@pytest.mark.parametrize("damage", ["truncated", "something else", "no model of ours", "no config"])
def test_refusals(path, tmp_path, damage):
    other = tmp_path / "other.keras"
    if damage == "truncated":
        other.write_bytes(path.read_bytes()[:-1000])
    elif damage == "something else":
        other.write_bytes(b"not a zip file")
    else:
        with zipfile.ZipFile(other, "w") as archive:
            kind = {"class_name": "Sequential"} if damage == "no model of ours" else {"registered_name": CLASS}
            archive.writestr("config.json", json.dumps(kind))
            archive.writestr(WEIGHTS_FILE, "")
            archive.writestr(f"assets/{VOCABULARY_FILE}", "")
    with pytest.raises(ValueError) as error:
        load_base(other)
    assert "\n" not in str(error.value) and str(error.value).endswith(f"Received: {other}")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="must be one of.*absent.keras"):
        load_base(tmp_path / "absent.keras")
