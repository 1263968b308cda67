"""LoRA files: those of diffusers and kohya's layout load here and compute what peft computes; ours read back."""

import os
import pathlib

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from keras_booth.dreambooth import DreamBooth, LoraConfig
from keras_booth.tools.errors import InputError
from tests.helpers.booths import small_booth
from tests.helpers.checkpoints.families import inputs, write_checkpoint

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
    prediction = booth.base.denoise(given["latents"], given["timesteps"], given)
    return {"unet": prediction} | booth.base.condition([PROMPT])


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


@pytest.mark.floor
@pytest.mark.parametrize("layout", ["diffusers", "kohya"])
def test_ours_reads_back_bit_for_bit(folder, family, layout, tmp_path):
    one, two = booth_of(folder), booth_of(folder)
    one.load_lora(HERE / f"{family}.safetensors")
    one.save_lora(tmp_path / "lora.safetensors", layout=layout)
    two.load_lora(tmp_path / "lora.safetensors")
    assert two.adapters.sizes == one.adapters.sizes
    # Again into a model that has it already.
    two.load_lora(tmp_path / "lora.safetensors")
    for ours, again in zip(one.adapters.variables, two.adapters.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), again.numpy())


def test_kohya_names_and_shapes_are_theirs(folder, family, tmp_path):
    """Key by key what `make_goldens.py` wrote from peft's state."""
    booth = booth_of(folder)
    booth.load_lora(HERE / f"{family}-kohya.safetensors")
    booth.save_lora(tmp_path / "lora.safetensors")
    ours, theirs = load_file(tmp_path / "lora.safetensors"), load_file(HERE / f"{family}-kohya.safetensors")
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        np.testing.assert_array_equal(ours[name], tensor)


@pytest.fixture(scope="module")
def booths():
    """With LoRA, and without."""
    return small_booth(lora=LoraConfig(rank=2)), small_booth()


@pytest.mark.parametrize("alpha", [0.1, 70000.0])
def test_half_precision(booths, tmp_path, monkeypatch, alpha):
    """Alphas stay as they are: 70000 is no number in half precision, and 0.1 is another one in any."""
    for layer in booths[0].adapters.layers.values():
        monkeypatch.setattr(layer, "lora_alpha", alpha)
    booths[0].save_lora(tmp_path / "lora.safetensors", dtype="float16")
    tensors = load_file(tmp_path / "lora.safetensors")
    alphas = [tensors.pop(name) for name in list(tensors) if name.endswith(".alpha")]
    assert {array.dtype for array in tensors.values()} == {np.dtype("float16")}
    np.testing.assert_allclose(alphas, alpha, rtol=1e-6)
    booths[0].load_lora(tmp_path / "lora.safetensors")


def test_mode_is_the_umasks(tmp_path):
    booth = booth_of(write_checkpoint("1.x", tmp_path / "checkpoint"))
    booth.add_lora(LoraConfig(rank=2))
    before = os.umask(0)
    for mask in (0o022, 0o077):
        folder = tmp_path / f"{mask:o}"
        try:
            os.umask(mask)
            folder.mkdir()
            booth.save_lora(folder / "lora.safetensors")
            booth.save(folder / "dog.keras")
            booth.export_weights(folder / "dog.safetensors", format="safetensors")
            booth.export_weights(folder / "dog")
        finally:
            os.umask(before)
        modes = {path: path.stat().st_mode & 0o777 for path in folder.rglob("*")}
        assert len(modes) > 10
        for path, mode in modes.items():
            assert mode == (0o777 if path.is_dir() else 0o666) & ~mask, path


class TestMistakes:
    @pytest.fixture
    def path(self, booths, tmp_path):
        booths[0].save_lora(tmp_path / "lora.safetensors", layout="diffusers")
        return tmp_path / "lora.safetensors"

    @pytest.fixture
    def refused(self, booths):
        def check(path, *words):
            with pytest.raises(InputError) as caught:
                booths[1].load_lora(path)
            assert all(word in str(caught.value) for word in (*words, str(path)))
            assert booths[1].adapters is None

        return check

    def test_half_a_pair(self, path, refused):
        tensors = load_file(path)
        name = sorted(tensors)[0]
        del tensors[name]
        save_file(tensors, path)
        refused(path, "is missing")

    def test_a_shape_that_does_not_fit(self, path, refused):
        tensors = load_file(path)
        name = sorted(tensors)[0]
        tensors[name] = np.zeros((2, 5), "float32")
        save_file(tensors, path)
        refused(path, "shape", "(2, 5)")

    def test_a_layer_that_is_not_there(self, path, refused):
        tensors = load_file(path)
        tensors["unet.down_blocks.7.attentions.0.to_q.lora_A.weight"] = np.zeros((2, 5), "float32")
        save_file(tensors, path)
        refused(path, "down_blocks.7")

    def test_no_lora(self, path, refused):
        save_file({"conv_in.weight": np.zeros((2, 5), "float32")}, path)
        refused(path, "is a checkpoint and no LoRA", "conv_in.weight")

    def test_unknown(self, path, refused):
        save_file({"some.thing.else": np.zeros((2, 5), "float32")}, path)
        refused(path, "some.thing.else")

    def test_both_layouts_in_one_file(self, booths, path, refused):
        tensors = load_file(path)
        booths[0].save_lora(path)
        save_file(tensors | load_file(path), path)
        refused(path, "twice")

    @pytest.mark.parametrize(
        "alpha, wrong", [(np.nan, "NaN or infinite"), (np.inf, "NaN or infinite"), ([1.0, 2.0], "must be a number")]
    )
    def test_alphas_that_are_no_numbers(self, booths, path, refused, alpha, wrong):
        booths[0].save_lora(path)
        tensors = load_file(path)
        name = next(name for name in tensors if name.endswith(".alpha"))
        save_file(tensors | {name: np.array(alpha, "float32")}, path)
        refused(path, wrong, name)

    @pytest.mark.parametrize("text", ["{", "[]", '{"unet.alpha_pattern": 3}', '{"unet.lora_alpha": "much"}'])
    def test_damaged_metadata(self, path, refused, text):
        save_file(load_file(path), path, {"lora_adapter_metadata": text})
        refused(path, "damaged")

    @pytest.mark.parametrize("shape", [(), (0, 32), (2,), (2, 2, 2, 2)])
    def test_matrices_that_are_none(self, path, refused, shape):
        tensors = load_file(path)
        name = next(name for name in tensors if "lora_A" in name)
        save_file(tensors | {name: np.zeros(shape, "float32")}, path)
        refused(path, "shape")

    def test_empty(self, path, refused):
        save_file({}, path)
        refused(path, "no tensors")

    def test_truncated(self, path, refused):
        path.write_bytes(path.read_bytes()[:-100])
        refused(path, "damaged")

    def test_missing(self, tmp_path, refused):
        refused(tmp_path / "none.safetensors", "missing")

    def test_pickle(self, tmp_path, refused):
        refused(tmp_path / "lora.pt", ".safetensors")

    def test_of_another_rank(self, path):
        booth = small_booth(lora=LoraConfig(rank=3))
        with pytest.raises(InputError, match=r"other layers, ranks.*\(3, 3.0\), in the file \(2, 2.0\)"):
            booth.load_lora(path)

    @pytest.mark.parametrize(
        "arguments", [{"layout": "a1111"}, {"dtype": "int8"}, {"path": "lora.pt"}], ids=["layout", "dtype", "ending"]
    )
    def test_writing(self, booths, arguments, tmp_path):
        arguments = {"path": "lora.safetensors"} | arguments
        with pytest.raises(InputError, match="Received"):
            booths[0].save_lora(tmp_path / arguments.pop("path"), **arguments)
        assert list(tmp_path.iterdir()) == []
