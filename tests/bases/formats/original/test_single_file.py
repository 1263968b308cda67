"""Single files as AUTOMATIC1111 and ComfyUI open them: the numbers are exact whatever the names and the precision."""

import logging
import re

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from keras_booth.bases import export_base, load_base
from keras_booth.bases.formats.names import DIFFUSERS, component_tensors
from keras_booth.bases.formats.original.prediction import PROBED, find_schedule
from keras_booth.bases.formats.original.shapes import original_name
from keras_booth.bases.formats.original.single_file import load_single_file, read_single_file
from keras_booth.bases.formats.tensors import Checkpoint

CLIP = "cond_stage_model.transformer.text_model."
OPEN_CLIP = "cond_stage_model.model."


@pytest.fixture(scope="module")
def plain(base, tmp_path_factory):
    """The tensors of a single file, in the original names."""
    return load_file(export_base(base, tmp_path_factory.mktemp("plain") / "plain.safetensors", format="safetensors"))


@pytest.fixture(scope="module")
def target(folder):
    """A base to load into."""
    return load_base(folder, weights=None)


def assert_loads(tensors, path, base, target, rounded=lambda array: array):
    """Tensors saved to a file become the base's weights, in whatever was there before."""
    save_file(tensors, path)
    config, checkpoint = read_single_file(path)
    assert config.unet == base.config.unet
    assert config.text_encoder.activation == base.config.text_encoder.activation
    assert config.text_encoder.padding == base.config.text_encoder.padding
    for model in target.components.values():
        for variable in model.weights:
            variable.assign(np.full(variable.shape, 7.0))
    load_single_file(target, checkpoint)
    for name, model in base.components.items():
        for ours, theirs in zip(model.weights, target.components[name].weights, strict=True):
            np.testing.assert_array_equal(rounded(ours.numpy()), theirs.numpy())


def renamed(tensors, pattern, replacement):
    found = {re.sub(pattern, replacement, name): array for name, array in tensors.items()}
    assert found.keys() != tensors.keys()
    return found


def left_over(tensors):
    """What trainers and CLIP's other half leave in a file."""
    vector, number = np.ones(3, "float32"), np.array(4, "int64")
    stem = "cond_stage_model."
    names = (
        *(f"{stem}{place}logit_scale" for place in ("", "transformer.", "model.")),
        *(f"{stem}transformer.text_projection.weight", f"{stem}model.text_projection", f"{stem}model.attn_mask"),
        *(f"{stem}transformer.vision_model.embeddings.class_embedding", f"{stem}model.visual.proj"),
        *("model_ema.decay", "first_stage_model.loss.logvar", "alphas_cumprod", "denoiser.sigmas", "optimizer.step"),
    )
    position = {f"{CLIP}embeddings.position_ids": np.arange(77)[None], "epoch": number}
    return tensors | dict.fromkeys(names, vector) | position


class TestNames:
    def test_trainers(self, plain, base, target, tmp_path):
        path = tmp_path / "file.safetensors"
        assert_loads(renamed(plain, "^", "state_dict."), path, base, target)
        assert_loads(renamed(plain, "^first_stage_model", "vae"), path, base, target)
        assert_loads(left_over(plain), path, base, target)

    def test_text_encoder(self, plain, base, target, family, tmp_path):
        path = tmp_path / "file.safetensors"
        if family == "xl":
            assert_loads(renamed(plain, r"^(conditioner.*)\.text_model\.", r"\1."), path, base, target)
            return
        assert_loads(renamed(plain, r"^cond_stage_model\.", "conditioner.embedders.0."), path, base, target)
        if family == "1.x":
            assert_loads(renamed(plain, re.escape(CLIP), "cond_stage_model.transformer."), path, base, target)
            assert_loads(renamed(plain, re.escape(CLIP), "conditioner.embedders.0.transformer."), path, base, target)
            return
        # Stable Diffusion 2.x whose text encoder kept transformers' names.
        other = {name: array for name, array in plain.items() if not name.startswith(OPEN_CLIP)}
        for tensor in component_tensors(base, DIFFUSERS)["text_encoder"]:
            other[f"cond_stage_model.transformer.{tensor.name}"] = np.ascontiguousarray(tensor.export())
        assert_loads(other, path, base, target)


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2", "bfloat16", "float16", "float64"])
def test_precisions(plain, base, target, tmp_path, dtype):
    dtype = np.dtype(getattr(ml_dtypes, dtype, dtype))
    tensors = {name: array.astype(dtype) for name, array in plain.items()}
    path = tmp_path / "file.safetensors"
    assert_loads(tensors, path, base, target, lambda array: array.astype(dtype).astype("float32"))


class TestMissing:
    def refusal(self, tensors, path, target):
        save_file(tensors, path)
        with pytest.raises(ValueError, match=f"Received: .*{path.name}$") as error:
            load_single_file(target, read_single_file(path)[1])
        return str(error.value)

    def test_parts(self, plain, target, family, tmp_path):
        path = tmp_path / "file.safetensors"
        text_encoders = {
            "conditioner.embedders.0.": ("text encoder (CLIP) is missing",),
            "conditioner.embedders.1.": ("second text encoder (OpenCLIP) is missing", "XL"),
            "conditioner.": ("Both text encoders are missing", "XL"),
        }
        for prefix, words in {
            "first_stage_model.": ("autoencoder (VAE) is missing", "base.vae"),
            **(text_encoders if family == "xl" else {"cond_stage_model.": ("text encoder (CLIP) is missing",)}),
            "model.diffusion_model.": ("UNet is missing",),
        }.items():
            text = self.refusal({name: a for name, a in plain.items() if not name.startswith(prefix)}, path, target)
            assert all(word in text for word in words), text

    @pytest.mark.parametrize("family", ["xl"], indirect=True)
    def test_refiner(self, plain, target, tmp_path):
        """Its one text encoder, the second of the base, has the first one's place."""
        first, second = "conditioner.embedders.0.", "conditioner.embedders.1."
        tensors = {name.replace(second, first): array for name, array in plain.items() if not name.startswith(first)}
        text = self.refusal(tensors, tmp_path / "file.safetensors", target)
        assert "refiner of Stable Diffusion XL" in text and "take the base" in text

    def test_quantized(self, plain, target, tmp_path):
        name = "model.diffusion_model.time_embed.0.weight"
        text = self.refusal(plain | {name: plain[name].astype("int8")}, tmp_path / "file.safetensors", target)
        assert name in text and "quantized" in text

    def test_twice(self, plain, target, tmp_path):
        name = "first_stage_model.quant_conv.bias"
        text = self.refusal(plain | {f"state_dict.{name}": plain[name]}, tmp_path / "file.safetensors", target)
        assert "there twice" in text


class TestPrediction:
    """Which of the two 2.x is, by the signs that AUTOMATIC1111, diffusers, ComfyUI and sd-scripts go by."""

    def found(self, path, second=True, metadata=None, prediction_type=None, **tensors):
        save_file({"x": np.ones(1, "float32")} | tensors, path, metadata)
        schedule, sign = find_schedule(Checkpoint([path], original_name), second, prediction_type)
        return schedule.prediction_type, sign

    @pytest.mark.parametrize("dtype", ["float32", "float16", ml_dtypes.float8_e4m3fn])
    @pytest.mark.parametrize("deviation, expected", [(0.06, "epsilon"), (0.14, "v_prediction")])
    def test_weights(self, tmp_path, deviation, expected, dtype):
        noise = np.random.default_rng(0).standard_normal(320)
        bias = (0.3 + deviation * noise / noise.std()).astype(dtype)
        kind, sign = self.found(tmp_path / "file.safetensors", **{PROBED: bias})
        assert kind == expected and PROBED in sign and str(deviation)[:3] in sign

    def test_signs(self, tmp_path):
        path, v, epsilon = tmp_path / "file.safetensors", "v_prediction", "epsilon"
        step, marker = np.array(875000), np.ones(0, "float32")
        assert self.found(path, global_step=step)[0] == epsilon
        assert self.found(path, global_step=np.array(140000))[0] == v
        assert self.found(path)[0] == v
        assert self.found(path, second=False) == (epsilon, None)
        assert self.found(path, second=False, v_pred=marker) == (v, None)
        assert self.found(path, global_step=step, prediction_type=v) == (v, None)
        for stated, expected in {
            ("modelspec.prediction_type", "v"): v,
            ("modelspec.prediction_type", "epsilon"): epsilon,
            ("modelspec.architecture", "stable-diffusion-v2-768-v"): v,
            ("modelspec.architecture", "stable-diffusion-v2-512/lora"): epsilon,
        }.items():
            assert self.found(path, metadata=dict([stated])) == (expected, None)

    def test_zero_terminal_snr(self, tmp_path):
        path, marker = tmp_path / "file.safetensors", np.ones(0, "float32")
        save_file({"v_pred": marker, "ztsnr": marker}, path)
        schedule, _ = find_schedule(Checkpoint([path]), second=False)
        assert schedule.zero_terminal_snr and schedule.timestep_spacing == "trailing"

    def test_a_whole_file(self, plain, family, tmp_path, caplog):
        path = tmp_path / "file.safetensors"
        with caplog.at_level(logging.WARNING, "keras_booth"):
            save_file(plain | {"global_step": np.array(875000)}, path)
            config = read_single_file(path)[0]
            assert (config.schedule.prediction_type, config.image_size) == (
                "epsilon",
                (1024, 1024) if family == "xl" else (512, 512),
            )
            read_single_file(path)
        assert caplog.text.count("875000") == (1 if family == "2.x" else 0)  # said once
        config = read_single_file(path, "v_prediction")[0]
        assert config.schedule.prediction_type == "v_prediction"
        assert config.image_size == {"1.x": (512, 512), "2.x": (768, 768), "xl": (1024, 1024)}[family]
