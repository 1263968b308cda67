"""Folders and single files that are damaged, or made to harm: one sentence, before anything is made of them."""

import gzip
import json
import os
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from keras_booth.bases import describe_base
from keras_booth.bases.formats.diffusers.folder import read_folder
from keras_booth.bases.formats.external_vae import read_vae
from keras_booth.bases.formats.original.single_file import OWN, read_single_file
from keras_booth.bases.formats.own_weights import load_weights
from keras_booth.tools.errors import InputError
from tests.helpers.checkpoints.families import write_checkpoint
from tests.helpers.raw_safetensors import BROKEN, write_raw

UNET, VAE, TEXT = "unet/config.json", "vae/config.json", "text_encoder/config.json"
WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
SCHEDULER = "scheduler/scheduler_config.json"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return write_checkpoint("1.x", tmp_path_factory.mktemp("good") / "checkpoint", "float16")


@pytest.fixture
def folder(good, tmp_path):
    return shutil.copytree(good, tmp_path / "checkpoint")


def refused(read, path, *words):
    with pytest.raises(InputError) as error:
        read(path)
    text = str(error.value)
    for word in (*words, str(path)):
        assert word in text, text
    assert "\n" not in text and len(text) < 500 + 2 * len(str(path))


def read_all(folder):
    """A folder, with all of its tensors."""
    for checkpoint in read_folder(folder)[2].values():
        for _ in checkpoint.tensors(checkpoint.shapes):
            pass


def change(folder, file, fields):
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize(
    "file, fields, words",
    [
        (UNET, {"layers_per_block": 10**7}, "at most 16"),
        (UNET, {"layers_per_block": "x"}, "layers_per_block must be an integer"),
        (UNET, {"layers_per_block": True}, "layers_per_block must be an integer"),
        (UNET, {"block_out_channels": "x"}, "block_out_channels must be a list"),
        (UNET, {"block_out_channels": [32, 3_200_000]}, "cannot hold them"),
        (UNET, {"block_out_channels": []}, "must have one item a level"),
        (UNET, {"block_out_channels": [32] * 1000}, "must have one item a level"),
        (UNET, {"attention_head_dim": {"a": 1}}, "attention_head_dim must be"),
        (UNET, {"attention_head_dim": [8]}, "must have one item a level"),
        (UNET, {"attention_head_dim": -8}, "heads"),
        (UNET, {"down_block_types": {"a": 1}}, "down_block_types must be a list"),
        (UNET, {"down_block_types": [["a"], 1]}, "down_block_types must be a list"),
        (UNET, {"cross_attention_dim": [48, 48]}, "cross_attention_dim must be an integer"),
        (UNET, {"cross_attention_dim": 64}, "must be the same"),
        (UNET, {"sample_size": "64"}, "sample_size must be"),
        (UNET, {"sample_size": [8, 8, 8]}, "sample_size must be"),
        (UNET, {"sample_size": 10**6}, "image_size must be of at most"),
        (UNET, {"sample_size": -8}, "multiples of"),
        (UNET, {"norm_num_groups": 0}, "groups"),
        (UNET, {"in_channels": {"a": "x" * 5000}}, "in_channels must equal out_channels"),
        (UNET, {"act_fn": "x" * 5000}, "act_fn must be 'silu'"),
        (VAE, {"scaling_factor": 0}, "latent_scale (scaling_factor"),
        (VAE, {"scaling_factor": -1}, "latent_scale (scaling_factor"),
        (VAE, {"scaling_factor": 1e30}, "latent_scale (scaling_factor"),
        (VAE, {"scaling_factor": "x"}, "scaling_factor must be a finite number"),
        (VAE, {"latent_channels": 10**9}, "1000000000 latent channels of the autoencoder"),
        (VAE, {"layers_per_block": 0}, "must be an int >= 1"),
        (TEXT, {"num_hidden_layers": 10_000_000}, "at most 256"),
        (TEXT, {"vocab_size": 10**12}, "vocabulary"),
        (TEXT, {"vocab_size": 100}, "vocab_size is 100"),
        (TEXT, {"hidden_size": "48"}, "hidden_size must be an integer"),
        (TEXT, {"hidden_act": {"a": 1}}, "hidden_act must be a text"),
        (TEXT, {"num_attention_heads": 0}, "heads"),
        (TEXT, {"max_position_embeddings": 10**6}, "at most 4096"),
        (SCHEDULER, {"num_train_timesteps": 10**11}, "`steps` must be in"),
        (SCHEDULER, {"beta_end": 2.0}, "betas"),
        (SCHEDULER, {"beta_start": -1}, "betas"),
        (SCHEDULER, {"beta_start": "x"}, "beta_start must be a finite number"),
        (SCHEDULER, {"steps_offset": None}, "steps_offset must be an integer"),
        (SCHEDULER, {"_class_name": ["DDIMScheduler"]}, "_class_name must be"),
        (SCHEDULER, {"prediction_type": 5}, "prediction_type must be a text"),
        ("model_index.json", {"_class_name": {"a": "x" * 5000}}, "_class_name="),
    ],
)
def test_fields(folder, file, fields, words):
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    change(folder, file, fields)
    refused(read_folder, folder, words)


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "not valid JSON"),
        (b'{"a":' * 100_000, "not valid JSON"),
        (b'{"block_out_channels": NaN}', "is no number"),
        (b'"x"', "must hold a JSON object"),
        (b"\x00" * 1000, "not valid JSON"),
        (json.dumps({"a": 1}).encode("utf-16"), "not valid JSON"),
    ],
)
def test_json(folder, content, words):
    for file in (UNET, "tokenizer/vocab.json", "tokenizer/tokenizer_config.json"):
        before = (folder / file).read_bytes()
        (folder / file).write_bytes(content)
        refused(read_folder, folder, words, file)
        (folder / file).write_bytes(before)


def test_what_is_no_plain_file(folder):
    for file in (UNET, WEIGHTS, SCHEDULER, "tokenizer/vocab.json"):
        path = folder / file
        before = path.read_bytes()
        path.unlink()
        os.mkfifo(path)
        refused(read_folder, folder, "pipe or a device", file)
        path.unlink()
        path.symlink_to("/dev/zero")
        refused(read_folder, folder, "pipe or a device", file)
        path.unlink()
        path.mkdir()
        refused(read_folder, folder, "is a folder", file)
        path.rmdir()
        path.write_bytes(before)
    read_folder(folder)


@pytest.mark.parametrize(
    "files",
    [
        ["../x.safetensors"],
        ["/etc/passwd"],
        [5],
        ["a/b.safetensors"],
        ["x.bin"],
        [None],
        [""],
        "x",
        ["x\n.safetensors"],
    ],
)
def test_shards_elsewhere(folder, files):
    found = dict(enumerate(files)) if isinstance(files, list) else files
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"weight_map": found}))
    refused(read_folder, folder, "weight_map", "index.json")


class TestTokenizer:
    @pytest.mark.parametrize(
        "name, content, words",
        [
            ("vocab.json", "{}", "numbers of its tokens"),
            ("vocab.json", '{"a": "x"}', "numbers of its tokens"),
            ("vocab.json", '{"a": 1}', "vocabulary follows from its merges"),
            ("merges.txt", "", "numbers of its tokens"),
            ("merges.txt", "#version\na b c\n", "each a pair"),
            ("merges.txt", "#version\na b\n", "vocabulary follows from its merges"),
            ("tokenizer_config.json", '{"added_tokens_decoder": [1]}', "must be a JSON dict"),
            ("tokenizer_config.json", '{"added_tokens_decoder": {"x": {"content": "y"}}}', "id of a token"),
            ("tokenizer_config.json", '{"added_tokens_decoder": {"5": 7}}', "A token must be a text"),
            ("tokenizer_config.json", '{"added_tokens_decoder": {"1000000": {"content": "<y>"}}}', "no embedding"),
            ("tokenizer_config.json", '{"pad_token": {"a": 1}}', "A token must be a text"),
            ("tokenizer_config.json", '{"bos_token": 5}', "A token must be a text"),
            ("special_tokens_map.json", '{"eos_token": [1]}', "A token must be a text"),
            ("added_tokens.json", '{"x": "y"}', "id of a token"),
            ("tokenizer.json", '{"added_tokens": {"a": 1}}', "must be a JSON list"),
            ("tokenizer.json", '{"added_tokens": [5]}', "id of a token"),
        ],
    )
    def test_files(self, folder, name, content, words):
        if name in ("added_tokens.json", "tokenizer.json", "special_tokens_map.json"):
            (folder / "tokenizer" / "tokenizer_config.json").unlink()
        (folder / "tokenizer" / name).write_text(content)
        refused(read_folder, folder, words)

    @pytest.mark.parametrize(
        "model, words",
        [
            ([], "'model' must be an object"),
            ({}, "merges must be a list of pairs"),
            ({"vocab": [], "merges": ["a b"]}, "numbers of its tokens"),
            ({"vocab": {"a": 1}, "merges": [["a", "b", "c"]]}, "merges must be a list of pairs"),
            ({"vocab": {"a": 1}, "merges": 5}, "merges must be a list of pairs"),
        ],
    )
    def test_one_file(self, folder, model, words):
        (folder / "tokenizer" / "merges.txt").unlink()
        (folder / "tokenizer" / "tokenizer.json").write_text(json.dumps({"model": model}))
        refused(read_folder, folder, words)

    def test_a_list_of_the_users(self, tmp_path):
        """A pipe would be waited for, and a bomb would inflate to gigabytes."""
        path = tmp_path / "vocabulary.gz"
        for content in (b"", b"x", gzip.compress(b"a b\n" * 5_000_000, mtime=0)):
            path.write_bytes(content)
            with pytest.raises(InputError, match=f"vocabulary.* in vocabulary={path}"):
                describe_base("tiny_world", vocabulary=path)
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(InputError, match="pipe or a device.* Received: vocabulary="):
            describe_base("tiny_world", vocabulary=path)


class TestTensors:
    @pytest.mark.parametrize("kind", BROKEN)
    def test_no_safetensors(self, folder, kind):
        write_raw(folder / WEIGHTS, *BROKEN[kind])
        refused(read_folder, folder, WEIGHTS)
        refused(read_vae, folder / WEIGHTS, "no `.safetensors` file")
        refused(read_single_file, folder / WEIGHTS, "no `.safetensors` file")
        refused(lambda path: load_weights({}, path), folder / WEIGHTS, "no `.safetensors` file")

    @pytest.mark.parametrize("value, dtype", [(np.nan, "float16"), (np.inf, "float32"), (1e300, "float64")])
    def test_nan_and_infinity(self, folder, value, dtype):
        tensors = load_file(folder / WEIGHTS)
        tensors["conv_out.weight"] = np.full(tensors["conv_out.weight"].shape, value, dtype)
        save_file(tensors, folder / WEIGHTS)
        refused(read_all, folder, "'conv_out.weight' has values that are NaN or infinite", WEIGHTS)


class TestSingleFile:
    LEAST = {
        "model.diffusion_model.input_blocks.0.0.weight": (32, 4, 3, 3),
        "model.diffusion_model.input_blocks.1.0.out_layers.3.weight": (32, 32, 3, 3),
        "model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k.weight": (32, 48),
        "model.diffusion_model.middle_block.1.proj_in.weight": (32, 32, 1, 1),
        "model.diffusion_model.time_embed.0.weight": (128, 32),
        "model.diffusion_model.out.2.weight": (4, 32, 3, 3),
        "first_stage_model.post_quant_conv.weight": (4, 4, 1, 1),
        "first_stage_model.encoder.down.0.block.0.conv1.weight": (32, 32, 3, 3),
        "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight": (77, 48),
        "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight": (1211, 48),
        "cond_stage_model.transformer.text_model.encoder.layers.0.mlp.fc1.weight": (192, 48),
    }

    def write(self, path, changes=None, metadata=None):
        shapes = self.LEAST | (changes or {})
        save_file({name: np.zeros(shape, "float16") for name, shape in shapes.items() if shape}, path, metadata)
        return path

    @pytest.mark.parametrize(
        "name",
        [
            "model.diffusion_model.input_blocks.{}.0.x",
            "first_stage_model.encoder.down.{}.x",
            "first_stage_model.encoder.down.0.block.{}.x",
            "cond_stage_model.transformer.text_model.encoder.layers.{}.x",
        ],
    )
    @pytest.mark.parametrize("number", [10**12, 10**5, "9" * 5000])
    def test_a_number_that_nothing_counts_up_to(self, tmp_path, name, number):
        path = self.write(tmp_path / "x.safetensors", {name.format(number): (1,)})
        refused(read_single_file, path, "a number beyond all that the file holds")

    # Of the others nothing but the number of axes is read before a model is made.
    @pytest.mark.parametrize(
        "name", [name for name in LEAST if not name.endswith(("proj_in.weight", "fc1.weight", "out.2.weight"))]
    )
    def test_shapes(self, tmp_path, name):
        for shape in ((1,), (2, 2, 2), None, (0, 0, 0, 0), (0, 0)):
            path = self.write(tmp_path / "x.safetensors", {name: shape})
            with pytest.raises(InputError) as error:
                read_single_file(path)
            assert str(path) in str(error.value) and "\n" not in str(error.value)

    @pytest.mark.parametrize(
        "text, words",
        [
            ("{", "not valid JSON"),
            ("[]", "must hold a JSON object"),
            ("{}", "base lacks the field"),
            ('{"name": "x", "future": 1}', "base has the field 'future'"),
            ('{"a":' * 5000, "not valid JSON"),
        ],
    )
    def test_own_metadata(self, tmp_path, text, words):
        path = self.write(tmp_path / "x.safetensors", metadata={OWN: text})
        refused(read_single_file, path, words, OWN)

    def test_resolution(self, tmp_path):
        for size in ("99999x99999", "0x0"):
            path = self.write(tmp_path / "x.safetensors", metadata={"modelspec.resolution": size})
            refused(read_single_file, path, "image_size")
        for size in ("x", "9" * 5000 + "x8"):
            path = self.write(tmp_path / "x.safetensors", metadata={"modelspec.resolution": size})
            assert read_single_file(path)[0].image_size == (512, 512)
