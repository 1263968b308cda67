"""Our encoders beside transformers' and lpips', on their own files with random weights; on JAX, too."""

import importlib.util
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from keras_booth.evaluation.encoders import Preprocessing, load_clip, load_dino, load_lpips
from keras_booth.tools.errors import InputError
from tests.helpers.encoders.models import (
    GOLDENS,
    LAYOUTS,
    TEXTS,
    random_pictures,
    random_weights,
    write_lpips,
    write_model,
)
from tests.helpers.places import SHARED

needs_keras_hub = pytest.mark.skipif(importlib.util.find_spec("keras_hub") is None, reason="needs KerasHub")


@pytest.fixture(scope="module")
def goldens():
    return np.load(GOLDENS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoders")
    for name in ("dino", "clip"):
        write_model(folder / name, name)
    write_lpips(folder / "lpips.safetensors")
    return folder


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def close(ours, theirs):
    """To 1e-4 of the largest value."""
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max(), rtol=0)


@needs_keras_hub
class TestEmbeddings:
    def test_dino(self, folder, goldens):
        close(load_dino(folder / "dino")(random_pictures()), unit(goldens["dino"]))

    def test_clip(self, folder, goldens):
        images, texts = load_clip(folder / "clip")
        close(images(random_pictures()), goldens["clip_images"])
        close(texts(TEXTS), goldens["clip_texts"])

    def test_pictures_of_several_sizes(self, folder):
        encode = load_dino(folder / "dino")
        small, large = random_pictures(1), random_pictures(1, size=(150, 90))
        both = encode([*small, *large])
        np.testing.assert_allclose(both, np.concatenate([encode(small), encode(large)]), atol=1e-5)

    def test_long_texts_are_cut_with_a_warning(self, folder, caplog):
        _, texts = load_clip(folder / "clip")
        (vector,) = texts(["a photo of a dog " * 9])
        assert np.isfinite(vector).all()
        assert "A prompt is cut" in caplog.text


def test_lpips(folder, goldens):
    distances = load_lpips(folder / "lpips.safetensors").pairwise(random_pictures())
    close(distances, goldens["lpips"])
    np.testing.assert_array_equal(distances, distances.T)
    assert not np.diag(distances).any()


def test_lpips_under_half_precision(folder, goldens):
    """Whatever the policy of the model that is measured."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        close(load_lpips(folder / "lpips.safetensors").pairwise(random_pictures()), goldens["lpips"])
    finally:
        keras.config.set_dtype_policy(policy)


class TestPreprocessing:
    @pytest.mark.parametrize("name", ["dino", "clip"])
    def test_as_transformers(self, name, goldens):
        pixels = Preprocessing.of(LAYOUTS[name]["preprocessor"], "here")(random_pictures())
        scale = np.array(LAYOUTS[name]["preprocessor"]["image_std"])
        assert np.abs((pixels - goldens[f"{name}_pixels"]) * scale).max() <= 1 / 255

    def test_fields_of_older_versions(self):
        shared = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
        vit = Preprocessing.of(shared | {"size": 224, "resample": 2}, "here")
        assert (vit.size, vit.crop, vit.resample) == ((224, 224), None, 2)
        clip = Preprocessing.of(shared | {"size": 224, "crop_size": 224, "do_center_crop": True, "resample": 3}, "here")
        assert (clip.size, clip.crop, clip.resample) == (224, (224, 224), 3)

    @pytest.mark.parametrize("size", [(60, 60), (61, 200), (200, 61), (30, 31)])
    def test_the_center_of_any_shape(self, size):
        fields = {"image_mean": [0.0] * 3, "image_std": [1.0] * 3, "do_center_crop": True, "size": 60, "crop_size": 60}
        picture = random_pictures(1, (240, 240))[0][: size[0], : size[1]]
        (pixels,) = Preprocessing.of(fields, "here")([picture])
        height, width = (60 if side == min(size) else 60 * side // min(size) for side in size)
        resized = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))
        top, left = (height - 60) // 2, (width - 60) // 2
        np.testing.assert_allclose(pixels, resized[top : top + 60, left : left + 60] / 255, atol=1e-6)

    @pytest.mark.parametrize(
        "change, sentence",
        [
            ({"size": None}, "size is not supported. Received: size=None in here"),
            ({"size": {"longest_edge": 9}}, "size is not supported"),
            ({"size": -3}, "size is not supported"),
            ({"do_resize": False}, "do_resize is not supported"),
            ({"rescale_factor": 2}, "rescale_factor is not supported"),
            ({"resample": 9}, "resample is not supported"),
            ({"image_mean": [0.5]}, "image_mean is not supported"),
            ({"image_std": [0.5, 0, 0.5]}, "image_std is not supported"),
            ({"image_std": [0.5, "x", 0.5]}, "image_std is not supported"),
            ({"do_center_crop": True, "crop_size": "all"}, "crop_size is not supported"),
        ],
    )
    def test_mistakes(self, change, sentence):
        with pytest.raises(InputError, match=sentence):
            Preprocessing.of(LAYOUTS["dino"]["preprocessor"] | change, "here")


@needs_keras_hub
class TestMistakes:
    @pytest.mark.parametrize("load, name", [(load_dino, "clip"), (load_clip, "dino")])
    def test_another_architecture(self, folder, load, name):
        with pytest.raises(InputError, match="The folder must hold a model of type"):
            load(folder / name)

    @pytest.mark.parametrize(
        "change, sentence",
        [
            ({"num_hidden_layers": 3}, "The tensor 'encoder.layer.2.layernorm_before.weight' is missing"),
            ({"num_hidden_layers": 1}, "is left over: this architecture is not supported"),
            ({"intermediate_size": 90}, r"has the shape \[96, 48\]|has the shape \(96, 48\)"),
            ({"hidden_size": "many"}, "hidden_size must be a whole number above 0. Received: hidden_size='many'"),
            ({"patch_size": 0}, "patch_size must be a whole number above 0"),
            ({"patch_size": 7}, "The config describes no such model .*divisible by patch size 7"),
            ({"layer_norm_eps": "small"}, "The config describes no such model"),
            ({"image_size": 64}, "'embeddings.position_embeddings' has the shape"),
        ],
    )
    def test_another_size(self, tmp_path, change, sentence):
        with pytest.raises(InputError, match=sentence):
            load_dino(write_model(tmp_path / "dino", "dino", **change))

    def test_pictures_of_another_size(self, tmp_path):
        folder = write_model(tmp_path / "dino", "dino")
        fields = LAYOUTS["dino"]["preprocessor"] | {"size": 32}
        (folder / "preprocessor_config.json").write_text(json.dumps(fields))
        with pytest.raises(InputError, match="The pictures of DINO must come out as it takes them"):
            load_dino(folder)

    @pytest.mark.parametrize("change", [{"num_attention_heads": 5}, {"hidden_act": "swiglu"}])
    def test_another_tower(self, tmp_path, change):
        text = LAYOUTS["clip"]["config"]["text_config"]
        with pytest.raises(InputError, match="The config describes no such model .* Received: .*config.json"):
            load_clip(write_model(tmp_path / "clip", "clip", text_config=text | change))

    def test_places_that_older_files_number(self, folder, tmp_path):
        place = write_model(tmp_path / "clip", "clip")
        weights = load_file(place / "model.safetensors")
        weights |= {f"{tower}_model.embeddings.position_ids": np.arange(9)[None] for tower in ("text", "vision")}
        save_file(weights, place / "model.safetensors")
        close(load_clip(place)[1](TEXTS), load_clip(folder / "clip")[1](TEXTS))

    def test_no_numbers(self, tmp_path):
        folder = write_model(tmp_path / "dino", "dino")
        (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-9])
        with pytest.raises(InputError, match="damaged, truncated"):
            load_dino(folder)

    def test_nothing_there(self, tmp_path):
        with pytest.raises(InputError, match="There is no folder of a vit model; for the hub write hf://facebook/dino"):
            load_dino("facebook/dino-vits16")
        with pytest.raises(InputError, match="There is no file with LPIPS's weights; make it once, with torch"):
            load_lpips(tmp_path / "lpips.safetensors")

    def test_no_pictures(self, folder):
        with pytest.raises(InputError, match="DINO needs at least one picture"):
            load_dino(folder / "dino")([])

    def test_no_texts(self, folder):
        with pytest.raises(InputError, match="CLIP needs at least one text"):
            load_clip(folder / "clip")[1]([])

    def test_damaged_weights(self, folder):
        encode = load_dino(folder / "dino")
        variable = encode._model.trainable_variables[0]
        variable.assign(np.full(variable.shape, np.nan, "float32"))
        with pytest.raises(InputError, match="DINO gives a picture or text no direction"):
            encode(random_pictures(1))


class TestLpipsMistakes:
    def test_several_sizes(self, folder):
        pictures = [*random_pictures(1), *random_pictures(1, (120, 90))]
        with pytest.raises(InputError, match="LPIPS compares pictures of one size. Received: sizes"):
            load_lpips(folder / "lpips.safetensors").pairwise(pictures)

    def test_too_small(self, folder):
        with pytest.raises(InputError, match="LPIPS needs pictures of at least 63 pixels. Received: .60, 90"):
            load_lpips(folder / "lpips.safetensors").pairwise(random_pictures(2, (60, 90)))


def test_without_keras_hub(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(InputError, match=r"DINO and CLIP need KerasHub: pip install 'keras_booth\[eval\]'"):
        load_dino(folder / "dino")


@pytest.mark.large
@needs_keras_hub
def test_on_jax():
    line = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(
        [*line, "-k", "TestEmbeddings or test_lpips", "-m", "not large"],
        env=os.environ | {"KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout and "skipped" not in done.stdout


def photographs():
    folder = SHARED / "data" / "dreambooth"
    return sorted(folder.rglob("*.jpg"))[::4] if folder.exists() else []


@pytest.mark.skipif(not photographs(), reason="needs the photographs of ../shared")
@pytest.mark.parametrize("name", ["dino", "clip"])
def test_real_photographs(name):
    """As the original processor prepares them."""
    transformers = pytest.importorskip("transformers")
    fields = json.loads(json.dumps(LAYOUTS[name]["preprocessor"]))
    kind = {"dino": "ViTImageProcessorPil", "clip": "CLIPImageProcessorPil"}[name]
    processor = getattr(transformers, kind)(**{key: fields[key] for key in fields if key != "image_processor_type"})
    ours = Preprocessing.of(fields, "here")
    for path in photographs():
        picture = np.asarray(Image.open(path).convert("RGB"))
        theirs = processor([Image.fromarray(picture)], return_tensors="np")["pixel_values"][0].transpose(1, 2, 0)
        assert np.abs((ours([picture])[0] - theirs) * np.array(fields["image_std"])).max() <= 1 / 255


def test_weights_follow_from_the_seed():
    """Else the goldens would be of other ones."""
    weights = random_weights({"a": [2], "b": [2, 2]})
    np.testing.assert_allclose(weights["a"], [0.03771907, -0.03963146], rtol=1e-6)
