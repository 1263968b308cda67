import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from keras_booth.bases.formats.own_weights import load_weights, named_variables, save_weights


def models(seed, width=4):
    """Two small named models; the auto-generated names of their layers differ from call to call."""
    keras.utils.set_random_seed(seed)
    one = keras.Sequential([keras.Input((3,)), keras.layers.Dense(width), keras.layers.BatchNormalization()])
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    return {"one": one, "other": other}


def values(parts):
    return {name: variable.numpy().copy() for name, variable in named_variables(parts).items()}


@pytest.fixture
def path(tmp_path):
    """Weights of `models(seed=0)`."""
    save_weights(models(seed=0), tmp_path / "parts.safetensors")
    return tmp_path / "parts.safetensors"


def test_round_trip(path):
    other = models(seed=1)
    load_weights(other, path)
    expected = values(models(seed=0))
    assert expected.keys() == values(other).keys() and len(expected) == 8
    for name, value in values(other).items():
        np.testing.assert_array_equal(value, expected[name])


def test_float16_is_half_the_size_and_rounds(tmp_path):
    parts = {"wide": keras.Sequential([keras.Input((64,)), keras.layers.Dense(256)])}
    save_weights(parts, tmp_path / "full.safetensors")
    save_weights(parts, tmp_path / "half.safetensors", dtype="float16")
    full, half = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("full", "half"))
    assert half / full == pytest.approx(0.5, abs=0.01)
    before = values(parts)
    load_weights(parts, tmp_path / "half.safetensors")
    for name, value in values(parts).items():
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, before[name].astype("float16"))


def test_makes_folders_and_replaces(tmp_path):
    path = tmp_path / "new" / "folder" / "parts.safetensors"
    for seed in (0, 1):
        save_weights(models(seed), path)
        assert [file.name for file in path.parent.iterdir()] == ["parts.safetensors"]
    loaded = models(seed=2)
    load_weights(loaded, path)
    np.testing.assert_array_equal(loaded["other"].weights[0], models(seed=1)["other"].weights[0])


class TestRefusals:
    """Whatever is wrong with a file, a model keeps all of its weights."""

    def refuse(self, path, parts, match):
        before = values(parts)
        with pytest.raises(ValueError, match=match) as raised:
            load_weights(parts, path)
        assert str(raised.value).endswith(f"Received: {path}") and "\n" not in str(raised.value)
        for name, value in values(parts).items():
            np.testing.assert_array_equal(value, before[name])

    def test_missing(self, tmp_path):
        self.refuse(tmp_path / "absent.safetensors", models(1), "missing")

    def test_a_folder(self, tmp_path):
        self.refuse(tmp_path, models(1), "is a folder")

    @pytest.mark.parametrize("keep", [0.0, 0.3, 0.99])
    def test_truncated(self, path, keep):
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * keep)])
        self.refuse(path, models(1), "no `.safetensors` file")

    def test_something_else(self, path):
        path.write_bytes(b"no weights at all, but a text of some length" * 10)
        self.refuse(path, models(1), "no `.safetensors` file")

    @pytest.mark.parametrize("change", ["missing", "left over"])
    def test_another_model(self, path, change):
        tensors = load_file(path)
        if change == "missing":
            del tensors[sorted(tensors)[-1]]
        else:
            tensors["one/0099/kernel"] = np.zeros(3, "float32")
        save_file(tensors, path)
        self.refuse(path, models(1), "of another model")

    def test_another_shape(self, path):
        parts = models(1)
        parts["other"] = keras.Sequential([keras.Input((3,)), keras.layers.Dense(5)])
        self.refuse(path, parts, r"'other/0000/kernel' has the shape \(3, 2\), not \(3, 5\)")
