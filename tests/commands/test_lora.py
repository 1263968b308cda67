"""A LoRA from `train` to other programs: what its file says, and `export --format lora`."""

import contextlib
import io
import json

import keras
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from keras_booth import export, train
from keras_booth.bases import model_spec
from keras_booth.workflow.parsing import read_config
from keras_booth.workflow.run import lora_use
from tests.helpers.booths import full_size_config, small_booth
from tests.helpers.commands import files, flags
from tests.helpers.photographs import write_photos

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="takes eager steps, to be spared tracing"
)
LORA = "dog-lora.safetensors"


def metadata(path):
    with safe_open(path, "numpy") as file:
        return file.metadata()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """`(run folder, what the command said)` of a step with LoRA, of two subjects, one with captions."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("lora")
    write_photos(folder / "my dog")
    write_photos(folder / "cats", 2)
    (folder / "my dog" / "0.txt").write_text("sks dog, asleep")
    options = {
        "subject.photos": folder / "my dog",
        "subject.captions": "true",
        "more_subjects": json.dumps([{"photos": str(folder / "cats"), "class_noun": "cat", "identifier": "zwx"}]),
        "lora.rank": "2",
        "prior.loss_weight": "0",
        "training.steps": "1",
        "training.batch_size": "1",
        "training.checkpoint_every": "0",
        "sampling.count": "1",
        "sampling.steps": "1",
        "sampling.every": "0",
        "output.folder": folder / "run",
    }
    said = io.StringIO()
    tf.config.run_functions_eagerly(True)
    try:
        with contextlib.redirect_stdout(said):
            assert train.main(flags(**options)) == 0
    finally:
        tf.config.run_functions_eagerly(False)
    return folder / "run", said.getvalue()


def test_the_file_says_what_was_taught(run):
    found = metadata(run[0] / LORA)
    assert found["modelspec.title"] == found["modelspec.trigger_phrase"] == "sks dog, zwx cat"
    assert json.loads(found["ss_tag_frequency"]) == {
        "my dog": {"sks dog, asleep": 1, "a photo of sks dog": 2},
        "cats": {"a photo of zwx cat": 2},
    }
    assert {key.split("_")[1] for key in load_file(run[0] / LORA)} == {"unet"}
    assert read_config(run[0] / "config.yaml").lora.layout == "kohya"


def test_the_closing_text_says_who_reads_it(run, tmp_path):
    """`tiny_world` is no Stable Diffusion."""
    assert f"{LORA}  what was trained alone, for diffusers\n" in run[1]
    config = read_config(run[0] / "config.yaml")
    save_file(load_file(run[0] / LORA), tmp_path / LORA, model_spec(full_size_config(1), adapter="lora"))
    assert lora_use(tmp_path, config) == "what was trained alone, for AUTOMATIC1111, ComfyUI, Forge, and diffusers"
    other = config.replace("lora", layout="diffusers")
    assert lora_use(tmp_path, other) == "what was trained alone, for diffusers"


@pytest.mark.parametrize(
    "layout",
    [[], pytest.param(["--layout", "diffusers"], marks=pytest.mark.large)],
    ids=["kohya", "diffusers"],
)
def test_export(run, tmp_path, capsys, caplog, layout):
    """What `train` wrote, by default in the same layout."""
    output = tmp_path / "out" / "my-dog.safetensors"
    assert export.main([str(run[0] / "dog.keras"), "--output", str(output), "--format", "lora", *layout]) == 0
    assert capsys.readouterr().out.strip() == str(output)
    assert "ComfyUI and AUTOMATIC1111 cannot open" in caplog.text
    ours, theirs = load_file(output), load_file(run[0] / LORA)
    if layout:
        assert {key.split(".")[0] for key in ours} == {"unet"}
        assert len(ours) == 2 * len(theirs) // 3
    else:
        assert ours.keys() == theirs.keys()
        for key, array in theirs.items():
            np.testing.assert_array_equal(ours[key], array)
        assert metadata(output)["ss_output_name"] == "my-dog"


def test_a_model_without(tmp_path, capsys):
    small_booth().save(tmp_path / "dog.keras")
    before = files(tmp_path)
    arguments = [str(tmp_path / "dog.keras"), "--output", str(tmp_path / "out.safetensors"), "--format", "lora"]
    assert export.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("The model has no LoRA") and error.count("\n") == 1 and "dog.keras" in error
    assert files(tmp_path) == before
