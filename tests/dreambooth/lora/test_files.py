"""LoRA files: those of diffusers and kohya's layout load here and compute what peft computes; ours read back."""

import pathlib

import keras
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from keras_booth.dreambooth import DreamBooth, LoraConfig
from tests.bases.checkpoints.families import inputs
from tests.conftest import small_booth

HERE = pathlib.Path(__file__).parent
PROMPT = "a photo of sks dog"


def booth_of(folder):
    return DreamBooth.from_preset(str(folder), identifier="sks", class_noun="dog")


def error(ours, theirs):
    """Relative error ||ours - theirs|| / ||theirs||."""
    ours = np.asarray(keras.ops.convert_to_numpy(ours), "float64")
    return np.linalg.norm(ours - theirs) / np.linalg.norm(theirs)


def outputs(booth, family):
    given = inputs(family)
    prediction = booth.unet([given["latents"], given["timesteps"], given["context"]])
    return {"unet": prediction, "text_encoder": booth.text_encoder(booth.tokenize([PROMPT]))}


@pytest.mark.parametrize("ending", ["", "-kohya"])
def test_theirs_computes_what_peft_computes(folder, family, ending):
    booth = booth_of(folder)
    before = outputs(booth, family)
    booth.load_lora(HERE / f"{family}{ending}.safetensors")
    golden = np.load(HERE / f"{family}.npz")
    for name, found in outputs(booth, family).items():
        assert error(found, golden[name]) <= 1e-4
        assert error(before[name], golden[name]) > 0.05
    booth.merge_lora()
    for name, found in outputs(booth, family).items():
        assert error(found, golden[name]) <= 1e-4


@pytest.mark.parametrize("layout", ["diffusers", "kohya"])
def test_ours_reads_back_bit_for_bit(folder, family, layout, tmp_path):
    one, two = booth_of(folder), booth_of(folder)
    one.load_lora(HERE / f"{family}.safetensors")
    one.save_lora(tmp_path / "lora.safetensors", layout=layout)
    two.load_lora(tmp_path / "lora.safetensors")
    assert two.adapters.sizes == one.adapters.sizes
    for ours, again in zip(one.adapters.variables, two.adapters.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), again.numpy())


def test_kohya_names_and_shapes_are_theirs(folder, family, tmp_path):
    """Key by key what `make_goldens.py` wrote from peft's state."""
    booth = booth_of(folder)
    booth.load_lora(HERE / f"{family}-kohya.safetensors")
    booth.save_lora(tmp_path / "lora.safetensors", layout="kohya")
    ours, theirs = load_file(tmp_path / "lora.safetensors"), load_file(HERE / f"{family}-kohya.safetensors")
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        np.testing.assert_array_equal(ours[name], tensor)


def test_half_precision_and_metadata(tmp_path):
    booth = small_booth(lora=LoraConfig(rank=2, alpha=8.0))
    booth.save_lora(tmp_path / "lora.safetensors", layout="kohya", dtype="float16")
    assert {array.dtype for array in load_file(tmp_path / "lora.safetensors").values()} == {np.dtype("float16")}
    with safe_open(tmp_path / "lora.safetensors", "numpy") as file:
        assert file.metadata()["ss_network_dim"] == "2"
        assert file.metadata()["ss_network_alpha"] == "8.0"


class TestMistakes:
    @pytest.fixture
    def path(self, tmp_path):
        small_booth(lora=LoraConfig(rank=2)).save_lora(tmp_path / "lora.safetensors")
        return tmp_path / "lora.safetensors"

    def refused(self, path, *words):
        booth = small_booth()
        with pytest.raises(ValueError) as caught:
            booth.load_lora(path)
        assert all(word in str(caught.value) for word in (*words, str(path)))
        assert booth.adapters is None

    def test_half_a_pair(self, path):
        tensors = load_file(path)
        name = sorted(tensors)[0]
        del tensors[name]
        save_file(tensors, path)
        self.refused(path, "is missing")

    def test_a_shape_that_does_not_fit(self, path):
        tensors = load_file(path)
        name = sorted(tensors)[0]
        tensors[name] = np.zeros((2, 5), "float32")
        save_file(tensors, path)
        self.refused(path, "shape", "(2, 5)")

    def test_a_layer_that_is_not_there(self, path):
        tensors = load_file(path)
        tensors["unet.down_blocks.7.attentions.0.to_q.lora_A.weight"] = np.zeros((2, 5), "float32")
        save_file(tensors, path)
        self.refused(path, "down_blocks.7")

    def test_no_lora(self, path):
        save_file({"conv_in.weight": np.zeros((2, 5), "float32")}, path)
        self.refused(path, "conv_in.weight")

    def test_empty(self, path):
        save_file({}, path)
        self.refused(path, "no tensors")

    def test_truncated(self, path):
        path.write_bytes(path.read_bytes()[:-100])
        self.refused(path, "damaged")

    def test_missing(self, tmp_path):
        self.refused(tmp_path / "none.safetensors", "missing")

    def test_pickle(self, tmp_path):
        self.refused(tmp_path / "lora.pt", ".safetensors")

    def test_of_another_rank(self, path):
        booth = small_booth(lora=LoraConfig(rank=3))
        with pytest.raises(ValueError, match="other layers, ranks"):
            booth.load_lora(path)

    @pytest.mark.parametrize(
        "arguments", [{"layout": "a1111"}, {"dtype": "int8"}, {"path": "lora.pt"}], ids=["layout", "dtype", "ending"]
    )
    def test_writing(self, arguments, tmp_path):
        booth = small_booth(lora=LoraConfig(rank=2))
        arguments = {"path": "lora.safetensors"} | arguments
        with pytest.raises(ValueError, match="Received"):
            booth.save_lora(tmp_path / arguments.pop("path"), **arguments)
        assert list(tmp_path.iterdir()) == []
