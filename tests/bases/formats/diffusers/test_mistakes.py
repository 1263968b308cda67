"""Bad checkpoints: one sentence that names the file and the key, and nothing half-loaded."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from keras_booth.bases import export_base, load_base
from tests.helpers.booths import small_booth
from tests.helpers.checkpoints.families import write_checkpoint
from tests.helpers.places import VOCABULARY
from tests.helpers.tokenizer_files import SIZE


@pytest.fixture
def folder(tmp_path):
    return write_checkpoint("1.x", tmp_path / "checkpoint")


def edit_json(path, **fields):
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def edit_tensors(path, change):
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def refused(source, *words, **options):
    """The sentence with which a checkpoint is refused."""
    with pytest.raises(ValueError) as error:
        load_base(source, **options)
    text = str(error.value)
    assert "\n" not in text
    for word in words:
        assert word in text, text
    return text


class TestFolder:
    UNET = "unet/diffusion_pytorch_model.safetensors"

    def test_missing_weights(self, folder):
        (folder / self.UNET).unlink()
        refused(folder, "missing", self.UNET)

    def test_truncated_weights(self, folder):
        path = folder / self.UNET
        path.write_bytes(path.read_bytes()[:-100])
        refused(folder, "damaged", self.UNET)

    def test_not_safetensors(self, folder):
        (folder / self.UNET).write_bytes(b"PK\x03\x04 something else entirely")
        refused(folder, "no `.safetensors` file", self.UNET)

    @pytest.mark.parametrize("name", ["diffusion_pytorch_model.bin", "diffusion_pytorch_model.ckpt"])
    def test_pickled_weights(self, folder, name):
        (folder / self.UNET).rename(folder / "unet" / name)
        refused(folder, "pickled", "`.safetensors`", name)

    def test_missing_tensor(self, folder):
        edit_tensors(folder / self.UNET, lambda tensors: tensors.pop("conv_out.bias"))
        refused(folder, "'conv_out.bias' is missing", self.UNET)

    def test_tensor_left_over(self, folder):
        edit_tensors(folder / self.UNET, lambda tensors: tensors.update(extra=np.zeros(3, "float32")))
        refused(folder, "'extra' is left over", self.UNET)

    def test_shape(self, folder):
        edit_tensors(folder / self.UNET, lambda tensors: tensors.update({"conv_out.bias": np.zeros(5, "float32")}))
        refused(folder, "'conv_out.bias' has the shape (5,), not (4,)", self.UNET)

    def test_nothing_is_half_loaded(self, folder):
        """A mistake in the last file is found before the first is loaded."""
        base = load_base(folder)
        before = [variable.numpy() for variable in base.unet.weights]
        edit_tensors(folder / self.UNET, lambda tensors: tensors.update({"conv_in.bias": np.ones(32, "float32")}))
        edit_tensors(folder / "text_encoder/model.safetensors", lambda tensors: tensors.pop("final_layer_norm.bias"))
        from keras_booth.bases.formats.diffusers.folder import load_folder, read_folder

        with pytest.raises(ValueError, match="final_layer_norm.bias"):
            load_folder(base, read_folder(folder)[2])
        for variable, value in zip(base.unet.weights, before, strict=True):
            np.testing.assert_array_equal(variable.numpy(), value)

    @pytest.mark.parametrize(
        "file, field, value",
        [
            ("unet/config.json", "addition_embed_type", "image"),
            ("unet/config.json", "reverse_transformer_layers_per_block", [2, 1]),
            ("unet/config.json", "class_embed_type", "projection"),
            ("unet/config.json", "transformer_layers_per_block", [1, [2, 2]]),
            ("unet/config.json", "transformer_layers_per_block", [1, 0]),
            ("unet/config.json", "in_channels", 9),
            ("unet/config.json", "down_block_types", ["SimpleCrossAttnDownBlock2D", "DownBlock2D"]),
            ("unet/config.json", "block_out_channels", None),
            ("unet/config.json", "block_out_channels", [33, 64]),
            ("unet/config.json", "layers_per_block", [1, 2]),
            ("vae/config.json", "shift_factor", 0.1),
            ("vae/config.json", "block_out_channels", None),
            ("text_encoder/config.json", "hidden_act", "relu"),
            ("text_encoder/config.json", "intermediate_size", 100),
            ("scheduler/scheduler_config.json", "beta_schedule", "sigmoid"),
            ("scheduler/scheduler_config.json", "prediction_type", "sample"),
            ("scheduler/scheduler_config.json", "trained_betas", [0.1, 0.2]),
            ("scheduler/scheduler_config.json", "use_flow_sigmas", True),
            ("scheduler/scheduler_config.json", "_class_name", "FlowMatchEulerDiscreteScheduler"),
            ("scheduler/scheduler_config.json", "_class_name", "EDMEulerScheduler"),
            ("vae/config.json", "_class_name", "AsymmetricAutoencoderKL"),
        ],
    )
    def test_unsupported_config(self, folder, file, field, value):
        edit_json(folder / file, **{field: value})
        refused(folder, field, file)

    @pytest.mark.parametrize(
        "name, kind",
        [
            ("StableDiffusionXLInpaintPipeline", "an inpainting checkpoint"),
            ("StableDiffusion3Pipeline", "Stable Diffusion 3"),
            ("FluxPipeline", "Flux"),
            ("WuerstchenDecoderPipeline", "another kind"),
        ],
    )
    def test_pipeline_of_another_kind(self, folder, name, kind):
        (folder / "model_index.json").write_text(json.dumps({"_class_name": name}))
        refused(folder, kind, name, "model_index.json")

    def test_refiner(self, folder):
        index = {"_class_name": "StableDiffusionXLImg2ImgPipeline", "text_encoder": [None, None], "text_encoder_2": []}
        (folder / "model_index.json").write_text(json.dumps(index))
        refused(folder, "refiner of Stable Diffusion XL", "model_index.json")

    @pytest.mark.parametrize("content", ["{", "[]", "\xff"])
    def test_damaged_config(self, folder, content):
        (folder / "vae" / "config.json").write_bytes(content.encode("latin1"))
        refused(folder, "vae/config.json")

    def test_empty_folder(self, tmp_path):
        refused(tmp_path, "missing", "unet/config.json")

    def test_tokenizer_with_added_tokens(self, folder):
        path = folder / "tokenizer" / "vocab.json"
        edit_json(path, **{"<my-cat>": SIZE})
        refused(folder, "added tokens", "'<my-cat>'", "vocab.json")


class TestFile:
    def write(self, folder, name, **shapes):
        path = folder / name
        save_file({key.replace("__", "."): np.zeros(shape, "float32") for key, shape in shapes.items()}, path)
        return path

    @pytest.mark.parametrize(
        "key, model",
        [
            ("conditioner.embedders.1.model.ln_final.weight", "UNet is missing"),
            ("model.diffusion_model.label_emb.0.0.weight", "Both text encoders are missing"),
            ("edm_mean", "Playground 2.5"),
            ("model.diffusion_model.joint_blocks.0.x.weight", "Stable Diffusion 3"),
            ("model.diffusion_model.double_blocks.0.x.weight", "Flux"),
            ("lora_unet_down_blocks_0.lora_up.weight", "LoRA"),
        ],
    )
    def test_another_architecture(self, tmp_path, key, model):
        path = self.write(tmp_path, "other.safetensors", **{key: (2, 2)})
        refused(path, model, "other.safetensors")

    def test_something_else(self, tmp_path):
        path = self.write(tmp_path, "other.safetensors", weight=(2, 2))
        refused(path, "is missing", "no whole Stable Diffusion", "other.safetensors")

    @pytest.mark.parametrize("name", ["model.ckpt", "model.pt"])
    def test_pickle(self, tmp_path, name):
        (tmp_path / name).write_bytes(b"\x80\x02")
        refused(tmp_path / name, "pickled", name)

    def test_no_such_thing(self):
        refused("stable_diffusion_9", "tiny_world", "hf://owner/name", "stable_diffusion_9")

    def test_a_repository_without_its_prefix(self):
        refused("stabilityai/stable-diffusion-2-1", "no such file or folder", "hf://stabilityai/stable-diffusion-2-1")
        refused("tiny_world", "hf://stabilityai/sd-vae-ft-mse", vae="stabilityai/sd-vae-ft-mse")

    def test_inpainting(self, folder, tmp_path):
        path = export_base(load_base(folder), tmp_path / "whole.safetensors", format="safetensors")
        tensors = load_file(path)
        name = "model.diffusion_model.input_blocks.0.0.weight"
        tensors[name] = np.zeros((32, 9, 3, 3), "float32")
        save_file(tensors, path)
        refused(path, name, "inpainting", "whole.safetensors", vocabulary=VOCABULARY)


@pytest.mark.parametrize("address", ["hf://", "hf://name", "hf://a/b/c", "hf://a/b@", "hf://a/b@x/f.safetensors@y"])
def test_hub_address(address):
    refused(address, "hf://owner/name", address)


def test_a_base_that_no_format_can_say(tmp_path):
    """One residual block a level in encoder and decoder alike."""
    with pytest.raises(ValueError, match="one residual block more"):
        export_base(small_booth().base, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
