"""One `.keras` file: it holds everything, it opens anywhere, and nothing else is mistaken for it."""

import contextlib
import json
import os
import subprocess
import sys
import zipfile

import h5py
import keras
import numpy as np
import pytest

import keras_booth
from keras_booth.dreambooth import DreamBooth, LoraConfig
from keras_booth.tools.errors import InputError
from tests.helpers.booths import fixed_batch, small_booth
from tests.helpers.photographs import levels
from tests.helpers.places import PHOTOS, ROOT, VOCABULARY
from tests.helpers.processes import reopened


class Saved:
    """A model trained for two steps, saved, and trained for two more."""

    def __init__(self, folder):
        keras.utils.clear_session()  # see `test_model.Trained`
        booth = small_booth(train_text_encoder=True, identifier="zwx", seed=3)
        booth.compile(keras.optimizers.AdamW(1e-3, global_clipnorm=1.0), prior_loss_weight=0.5)
        data = reopened.dataset(booth, PHOTOS)
        booth.fit(data, verbose=0)
        self.path, self.to_resume, self.half = (folder / f"{name}.keras" for name in ("plain", "to_resume", "half"))
        booth.save(self.path)
        booth.save(self.to_resume, include_optimizer=True)
        booth.save(self.half, dtype="float16")
        self.files = sorted(path.name for path in folder.iterdir())
        self.pictures = reopened.pictures(booth)
        self.compiled = booth.compiled, booth.trained_steps
        self.parameters = booth.count_params()
        self.loss = booth.fit(data, verbose=0).history["loss"][0]
        self.state = reopened.state(booth)
        self.booth = booth


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return Saved(tmp_path_factory.mktemp("saved"))


@pytest.fixture(scope="module")
def loaded(saved):
    return keras_booth.load(saved.path)


def reopen(model, folder, backend):
    """What `reopened.py` found in a new process with an empty home."""
    home = folder / "home"
    home.mkdir(parents=True)
    changes = {"HOME": str(home), "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, reopened.__file__, str(model), str(PHOTOS), str(folder / "answers")]
    done = subprocess.run(command, env=os.environ | changes, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return np.load(folder / "answers.npz")


@pytest.fixture(scope="module")
def found(saved, tmp_path_factory):
    return reopen(saved.to_resume, tmp_path_factory.mktemp("tensorflow"), "tensorflow")


@pytest.mark.large
class TestInANewProcess:
    """With networking cut."""

    def test_pictures_are_bit_equal(self, saved, found):
        np.testing.assert_array_equal(found["pictures"], saved.pictures)
        assert saved.pictures.std() > 1
        np.testing.assert_array_equal(found["reloaded"], found["after"])

    def test_a_resumed_run_equals_an_uninterrupted_one(self, saved, found):
        """Weights, optimizer and the state of the noise, bit for bit."""
        assert found["loss"] == saved.loss
        assert found["prior_loss_weight"] == 0.5
        assert sum("seed_generator" in name for name in saved.state) == 1
        assert sum("velocity" in name for name in saved.state) == len(saved.booth.trainable_variables)
        different = [name for name, value in saved.state.items() if not np.array_equal(value, found[name])]
        assert different == []

    @pytest.mark.large  # a minute and a half
    def test_on_jax(self, saved, tmp_path):
        """A file from TensorFlow opens, trains, saves and loads on JAX."""
        found = reopen(saved.to_resume, tmp_path, "jax")
        assert levels(found["pictures"], saved.pictures) <= 2
        assert np.isfinite(found["loss"]) and found["loss"] != saved.loss  # other random numbers
        assert levels(found["after"], found["pictures"]) > 0
        np.testing.assert_array_equal(found["reloaded"], found["after"])


class TestFile:
    def test_holds_everything(self, saved):
        assert saved.files == ["half.keras", "plain.keras", "to_resume.keras"]
        with zipfile.ZipFile(saved.path) as archive:
            assert sorted(archive.namelist()) == [
                "assets/vocabulary.txt.gz",
                "config.json",
                "metadata.json",
                "model.weights.h5",
            ]
            assert archive.read("assets/vocabulary.txt.gz") == VOCABULARY.read_bytes()
            config = json.loads(archive.read("config.json"))["config"]
        assert config["instance_prompt"] == "a photo of zwx dog"
        assert config["base"]["schedule"]["beta_end"] == 0.012

    def test_loads_as_it_was(self, saved, loaded):
        assert isinstance(loaded, DreamBooth)
        assert loaded.get_config() == saved.booth.get_config()
        np.testing.assert_array_equal(
            loaded.tokenize(["a photo of zwx dog"]), saved.booth.tokenize([saved.booth.instance_prompt])
        )
        assert not loaded.compiled and loaded.trained_steps == 2
        np.testing.assert_array_equal(reopened.pictures(loaded), saved.pictures)

    def test_opens_in_another_precision(self, saved, loaded):
        """The same numbers, rounded, in what is not computed in float32 anyway."""
        half = keras_booth.load(saved.path, "bfloat16")
        assert half.dtype_policy.name == "bfloat16"
        for part in ("unet", "text_encoder", "image_encoder"):
            for ours, theirs in zip(getattr(half, part).weights, getattr(loaded, part).weights, strict=True):
                expected = keras.ops.cast(theirs, ours.dtype)
                np.testing.assert_array_equal(*(keras.ops.convert_to_numpy(array) for array in (ours, expected)))
        assert {str(variable.dtype) for variable in half.image_encoder.weights} == {"float32"}
        assert "bfloat16" in {str(variable.dtype) for variable in half.unet.weights}
        with pytest.raises(InputError, match="`dtype` must be one of .*Received: dtype='half'"):
            keras_booth.load(saved.path, "half")

    def test_saving_changes_nothing(self, saved):
        assert saved.compiled == (True, 2)

    def test_float16_takes_half_the_space(self, saved, loaded):
        full, half = saved.path.stat().st_size, saved.half.stat().st_size
        assert full - half == pytest.approx(2 * saved.parameters, rel=0.02)
        smaller = keras_booth.load(saved.half)
        assert {weight.dtype for weight in smaller.trainable_weights} == {"float32"}
        for mine, exact in zip(smaller.trainable_weights, loaded.trainable_weights, strict=True):
            exact = keras.ops.convert_to_numpy(exact)
            np.testing.assert_array_equal(keras.ops.convert_to_numpy(mine), exact.astype("float16").astype("float32"))
        assert levels(reopened.pictures(smaller), saved.pictures) <= 3

    def test_without_the_optimizer_it_is_smaller(self, saved):
        grown = saved.to_resume.stat().st_size / saved.path.stat().st_size
        assert 1.8 < grown < 3

    @pytest.mark.large
    def test_can_be_trained_again(self, loaded, tmp_path):
        """A loaded model that is compiled anew, and saved over its own file."""
        path = tmp_path / "again.keras"
        loaded.save(path)
        booth = keras.saving.load_model(path)
        booth.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
        booth.fit(reopened.dataset(booth, PHOTOS), verbose=0)
        booth.save(path)
        assert [file.name for file in tmp_path.iterdir()] == ["again.keras"]
        np.testing.assert_array_equal(reopened.pictures(keras_booth.load(path)), reopened.pictures(booth))
        assert levels(reopened.pictures(booth), reopened.pictures(loaded)) > 0


class TestHistory:
    """A model that was trained is no base, also after it was saved."""

    OPTIONS = {"steps": 1, "progress": False}

    def refuse(self, booth, folder):
        with pytest.raises(ValueError, match="by the frozen base.* Received: a model after 2 training steps"):
            booth.class_images(1, folder=folder, **self.OPTIONS)
        assert list(folder.iterdir()) == []

    @pytest.mark.floor
    def test_goes_on_after_loading(self, saved, loaded, tmp_path):
        with_optimizer = keras_booth.load(saved.to_resume)
        for booth in (loaded, with_optimizer):
            assert booth.trained_steps == 2
            self.refuse(booth, tmp_path)
        with_optimizer.compile("sgd", run_eagerly=True)
        self.refuse(with_optimizer, tmp_path)
        with_optimizer.train_on_batch(fixed_batch(with_optimizer, [False]))
        with_optimizer.save(tmp_path / "more.keras")
        assert with_optimizer.trained_steps == keras_booth.load(tmp_path / "more.keras").trained_steps == 3

    def test_weights_alone(self, loaded, tmp_path):
        loaded.save_weights(tmp_path / "dog.weights.h5")
        for compiled in (False, True):
            booth = small_booth(train_text_encoder=True)
            if compiled:
                booth.compile("sgd")
            assert booth.trained_steps == 0
            # Keras says that the file has no state of the optimizer.
            said = pytest.warns(UserWarning, match="Skipping variable loading for optimizer")
            with said if compiled else contextlib.nullcontext():
                booth.load_weights(tmp_path / "dog.weights.h5")
            assert booth.trained_steps == 2

    def test_files_of_earlier_versions(self, saved, tmp_path, caplog):
        """They open, draw the same, and nobody knows how long they were trained."""
        old = tmp_path / "old.keras"
        with zipfile.ZipFile(saved.path) as source, zipfile.ZipFile(old, "w") as target:
            config = json.loads(source.read("config.json"))
            for name in ("vocabulary", "lora_scale", "to_open"):
                del config["config"][name]
            source.extract("model.weights.h5", tmp_path)
            with h5py.File(tmp_path / "model.weights.h5", "a") as weights:
                del weights["vars/history"]
            target.writestr("config.json", json.dumps(config))
            target.write(tmp_path / "model.weights.h5", "model.weights.h5")
            for name in ("metadata.json", "assets/vocabulary.txt.gz"):
                target.writestr(name, source.read(name))
        booth = keras_booth.load(old)
        np.testing.assert_array_equal(reopened.pictures(booth), saved.pictures)
        assert len(booth.class_images(1, folder=tmp_path / "images", **self.OPTIONS).paths) == 1
        assert "nothing says how long they were trained" in caplog.text

    def test_lora(self, tmp_path):
        """Beneath LoRA that is not trained, or of scale 0, the base is still the base."""
        booth = small_booth(lora=LoraConfig(rank=2))
        booth.require_base()
        self.train(booth)
        with pytest.raises(ValueError, match="lora_scale = 0.* Received: a model with LoRA, lora_scale=1"):
            booth.require_base()
        booth.lora_scale = 0
        booth.require_base()
        booth.save(tmp_path / "lora.keras")
        again = keras_booth.load(tmp_path / "lora.keras")
        assert again.lora_scale == 0
        again.require_base()

    def test_merged_lora_is_not_added_twice(self, tmp_path):
        booth = small_booth(lora=LoraConfig(rank=2))
        self.train(booth)
        kernels = [layer.kernel.numpy() for layer in booth.adapters.layers.values()]
        booth.lora_scale = 0.5
        booth.merge_lora()
        booth.save_weights(tmp_path / "lora.weights.h5")
        again = small_booth(lora=LoraConfig(rank=2), seed=1)
        again.load_weights(tmp_path / "lora.weights.h5")
        for layer, kernel in zip(again.adapters.layers.values(), kernels, strict=True):
            np.testing.assert_allclose(layer.kernel, kernel, atol=1e-6)
        # Into a model that is merged it is merged.
        booth.load_weights(tmp_path / "lora.weights.h5")
        booth.unmerge_lora()
        for layer, kernel in zip(booth.adapters.layers.values(), kernels, strict=True):
            np.testing.assert_allclose(layer.kernel, kernel, atol=1e-6)

    def test_lora_over_a_trained_model(self, saved, tmp_path):
        booth = keras_booth.load(saved.path)
        booth.add_lora(LoraConfig(rank=2))
        self.refuse(booth, tmp_path)
        booth.save(tmp_path / "lora.keras")
        with pytest.raises(ValueError, match="Received: a model after 2 training steps"):
            keras_booth.load(tmp_path / "lora.keras").require_base()

    @staticmethod
    def train(booth):
        for layer in booth.adapters.layers.values():
            layer.lora_kernel_b.assign(layer.lora_kernel_b + 0.3)


class TestRefusedToSave:
    @pytest.mark.parametrize(
        "name, options, received",
        [
            ("dog.h5", {}, "dog.h5"),
            ("dog", {}, "dog"),
            ("missing/dog.keras", {}, "dog.keras"),
            ("dog.keras", {"dtype": "int8"}, "dtype='int8'"),
            ("old.keras", {"overwrite": False}, "old.keras"),
        ],
    )
    def test_writes_nothing(self, loaded, tmp_path, name, options, received):
        old = tmp_path / "old.keras"
        old.write_bytes(b"precious")
        with pytest.raises(ValueError) as raised:
            loaded.save(tmp_path / name, **options)
        assert str(raised.value).endswith(received) and "\n" not in str(raised.value)
        assert list(tmp_path.iterdir()) == [old] and old.read_bytes() == b"precious"

    @pytest.mark.parametrize("dtype", ["float32", "float16"])
    def test_a_failure_in_the_middle_leaves_the_old_file(self, saved, tmp_path, dtype):
        """A model without a vocabulary fails after its weights are written."""
        old = tmp_path / "dog.keras"
        old.write_bytes(b"precious")
        booth = DreamBooth(saved.booth.base)
        booth.compile("sgd")
        tokenizer, booth.base.tokenizer = booth.base.tokenizer, None
        with pytest.raises(ValueError, match="no vocabulary"):
            booth.save(old, dtype=dtype)
        booth.base.tokenizer = tokenizer
        assert list(tmp_path.iterdir()) == [old] and old.read_bytes() == b"precious"
        assert booth.compiled and booth.optimizer is not None


class TestRefusedToLoad:
    def refuse(self, path, match):
        with pytest.raises(ValueError, match=match) as raised:
            keras_booth.load(path)
        assert str(raised.value).endswith(f"Received: {path}") and "\n" not in str(raised.value)

    def rewrite(self, saved, path, **changes):
        """A copy of a good archive in which members are replaced, or left out for `None`."""
        changes = {name.replace("__", "."): content for name, content in changes.items()}
        with zipfile.ZipFile(saved.path) as source, zipfile.ZipFile(path, "w") as target:
            for item in source.infolist():
                content = changes.get(item.filename.split("/")[-1], source.read(item))
                if content is not None:
                    target.writestr(item.filename, content)
        return path

    def test_missing(self, tmp_path):
        self.refuse(tmp_path / "absent.keras", "no such file")

    def test_a_folder(self, tmp_path):
        self.refuse(tmp_path, "no such file")

    @pytest.mark.parametrize("keep", [0.0, 0.5, 0.999])
    def test_truncated(self, saved, tmp_path, keep):
        whole, path = saved.path.read_bytes(), tmp_path / "dog.keras"
        path.write_bytes(whole[: int(keep * len(whole))])
        self.refuse(path, "damaged or truncated")

    def test_one_bit_is_wrong(self, saved, tmp_path):
        content, path = bytearray(saved.path.read_bytes()), tmp_path / "dog.keras"
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        self.refuse(path, "damaged")

    def test_a_text(self, tmp_path):
        path = tmp_path / "dog.keras"
        path.write_text("not a model")
        self.refuse(path, "no `.keras` file")

    @pytest.mark.parametrize("config", [None, b"\xff\xfe", b"{", b"[1, 2]", b"{}"])
    def test_another_archive(self, saved, tmp_path, config):
        self.refuse(self.rewrite(saved, tmp_path / "dog.keras", config__json=config), "config.json|something else")

    @pytest.mark.parametrize("member", ["model__weights__h5", "vocabulary__txt__gz"])
    def test_an_incomplete_one(self, saved, tmp_path, member):
        self.refuse(self.rewrite(saved, tmp_path / "dog.keras", **{member: None}), "it lacks")

    def test_another_model(self, tmp_path):
        path = tmp_path / "dog.keras"
        keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(path)
        self.refuse(path, "holds a Sequential, not a DreamBooth")
