"""`.keras` files that somebody changed on purpose: each is refused in one sentence, before anything is made of it."""

import gzip
import io
import json
import os
import zipfile

import h5py
import numpy as np
import pytest

from keras_booth.bases.formats.archive import CONFIG_FILE, VOCABULARY_FILE, open_archive
from keras_booth.bases.formats.weights_h5 import WEIGHTS_FILE
from keras_booth.dreambooth import LoraConfig, load
from keras_booth.tools.errors import CheckpointError
from tests.helpers.booths import small_booth
from tests.helpers.places import VOCABULARY

MERGES = f"assets/{VOCABULARY_FILE}"
KERNEL = "image_encoder/layers/padded_conv2d/conv2d/vars/0"


@pytest.fixture(scope="module")
def booth():
    return small_booth(lora=LoraConfig(rank=2))


@pytest.fixture(scope="module")
def members(booth, tmp_path_factory):
    """dict of the members of a good file."""
    path = tmp_path_factory.mktemp("good") / "dog.keras"
    booth.save(path, dtype="float16")
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "dog.keras"


def write(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def refused(path, *words, opened=lambda path: open_archive(path, thorough=True)):
    """The sentence names the file."""
    with pytest.raises(CheckpointError) as error:
        opened(path)
    text = str(error.value)
    for word in (*words, str(path)):
        assert word in text, text
    assert "\n" not in text and len(text) < 500 + len(str(path))


def test_what_is_not_changed_opens(path, members):
    found = open_archive(write(path, members), thorough=True)
    assert found.model["identifier"] == "sks" and found.base.unet.widths == (32, 64)
    # Half precision: two bytes each, and eight of the integers of the noise and the history.
    assert found.found.size == 2 * (found.found.weights + found.found.lora) + 8 * 6
    assert found.found.lora > 0


DELETED = object()


@pytest.mark.parametrize(
    "place, value, words",
    [
        (["base"], None, "base must be an object with fields. Received: base=None"),
        (["base", "unet"], [1], "unet must be an object"),
        (["base", "unet", "widths"], DELETED, "unet lacks the field 'widths'"),
        (["base", "unet", "future_option"], 1, "unet has the field 'future_option', which this version does not know"),
        (["base", "unet", "widths"], [32] * 1000, "1 to 8 levels. Received: 1000 widths"),
        (["base", "unet", "widths"], [32, 3_200_000], "cannot hold them"),
        (["base", "unet", "heads"], [2], "heads must have a number for each of the 2 widths"),
        (["base", "unet", "heads"], [0, -2], "heads"),
        (["base", "unet", "middle_heads"], 0, "middle_heads (attention_head_dim in diffusers) must be an int >= 1"),
        (["base", "unet", "blocks_per_level"], 10**6, "must be at most 16. Received: blocks_per_level=1000000"),
        (["base", "unet", "context_width"], 64, "must be the same. Received: 64 and 32"),
        (["base", "unet", "time_features"], 7, "time_features must be even"),
        (["base", "text_encoder", "layers"], 10**7, "must be at most 256. Received: layers=10000000"),
        (["base", "text_encoder", "vocabulary_size"], 10**12, "cannot hold them"),
        (["base", "text_encoder", "vocabulary_size"], "x", "vocabulary_size must be an integer"),
        (["base", "text_encoder", "max_length"], 1, "max_length must be >= 3"),
        (["base", "text_encoder", "max_length"], 10**6, "must be at most 4096"),
        (["base", "text_encoder", "activation"], "relu9", "activation must be one of"),
        (["base", "text_encoder", "padding"], "nonsense", "The padding token must be in the vocabulary"),
        (["base", "text_encoder", "added_tokens"], [["x", 10**9, True]], "added_tokens must be texts with ids below"),
        (["base", "autoencoder", "widths"], [], "1 to 8 levels"),
        (["base", "schedule", "steps"], 10**11, "`steps` must be in [1, 100000]. Received: steps=100000000000"),
        (["base", "schedule", "steps"], 1000.5, "steps must be an integer. Received: steps=1000.5"),
        (["base", "schedule", "beta_end"], 2.0, "betas"),
        (["base", "latent_scale"], 0, "latent_scale (scaling_factor in diffusers) must be in [0.0001, 10000.0]"),
        (["base", "latent_scale"], -1, "latent_scale"),
        (["base", "image_size"], [65536, 65536], "image_size must be of at most"),
        (["base", "image_size"], None, "image_size must be a list of an integer, an integer"),
        (["base", "sampling_steps"], 0, "sampling_steps must be in [1, 1000]"),
        (["base", "rho"], 0.5, "rho must be in [1, 100]"),
        (["base", "sampler"], {"a": 1}, "sampler must be a text"),
        (["base", "guidance_scale"], -1, "guidance_scale must be >= 0"),
        (["vocabulary"], "0" * 32, "not that of its model"),
        (["lora"], [1, 2], "lora must be an object of (rank, alpha)"),
        (["lora"], {"unet.nowhere": [10**9, 4.0]}, "fit into the file"),
        (["lora"], {"unet.nowhere": [0, 4.0]}, "must be positive"),
    ],
)
def test_config(path, members, place, value, words):
    config = json.loads(members[CONFIG_FILE])
    inner = config["config"]
    for key in place[:-1]:
        inner = inner[key]
    if value is DELETED:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    refused(write(path, members | {CONFIG_FILE: json.dumps(config)}), words)


@pytest.mark.parametrize(
    "place, value, words",
    [
        (["config", "dtype"], "float7", "dtype must be one of"),
        (["config", "dtype"], DELETED, "config lacks the field 'dtype'"),
        (["config", "future_option"], 1, "config has the field 'future_option'"),
        (["config", "name"], {"a": 1}, "name must be a text"),
        (["config", "identifier"], 5, "identifier must be a text"),
        (["config", "seed"], -5, "`seed` must be"),
        (["config", "merged_tokens"], 5, "merged_tokens must be a list"),
        (["config", "lora_scale"], "x", "lora_scale must be a finite number"),
        (["compile_config"], [1], "compile_config must be an object of"),
        (["compile_config"], {}, "compile_config is none"),
        (["compile_config"], {"optimizer": {"module": "os", "class_name": "system", "config": {}}}, "'os'"),
        (
            ["compile_config"],
            {"optimizer": {"module": "keras.optimizers", "class_name": "Adam", "config": {"learning_rate": {"x": 1}}}},
            "compile_config",
        ),
        (
            ["compile_config"],
            {
                "optimizer": {
                    "module": "keras.optimizers",
                    "class_name": "Adam",
                    "config": {"learning_rate": {"module": "keras.layers", "class_name": "Lambda", "config": {}}},
                }
            },
            "'keras.layers'",
        ),
    ],
)
def test_config_of_the_model(path, members, place, value, words):
    """What only a model has, and a base does not: refused before it is built."""
    config = json.loads(members[CONFIG_FILE])
    inner = config
    for key in place[:-1]:
        inner = inner[key]
    if value is DELETED:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    refused(write(path, members | {CONFIG_FILE: json.dumps(config)}), words, opened=load)


@pytest.mark.parametrize(
    "content, words",
    [
        (b"{nope", "not valid JSON"),
        (json.dumps({"a": 1}).encode("utf-16"), "not valid JSON"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "not valid JSON"),
        (b'"x"', "must hold a JSON object"),
        (b'{"class_name": NaN}', "is no number"),
        (b'{"class_name": 1e999}', "is no number"),
        (b'{"class_name": "a", "class_name": "b"}', "'class_name' is there twice"),
        (json.dumps({"class_name": {"a": "x" * 5000}}).encode(), "not a DreamBooth"),
        (b"[" + b"1" * 5000 + b"]", "not valid JSON"),
    ],
)
def test_json(path, members, content, words):
    refused(write(path, members | {CONFIG_FILE: content}), CONFIG_FILE if "valid" in words else "", words)


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "must be a list of merges"),
        (b"garbage", "must be a gzipped list"),
        (gzip.compress(VOCABULARY.read_bytes(), mtime=0)[:-20], "must be a gzipped list"),
        (VOCABULARY.read_bytes()[:900], "must be a gzipped list"),
        (gzip.compress(b"", mtime=0), "must be a list of merges"),
        (gzip.compress(b"\xff\xfe" * 1000, mtime=0), "in UTF-8"),
        (gzip.compress(b"#version\nabc\n", mtime=0), "each a pair"),
        (gzip.compress(b"#version\na b\nc d</w>\n", mtime=0), "vocabulary"),
        (gzip.compress(b"a b\n" * 5_000_000, mtime=0), "inflates to more than 16 MB"),
    ],
)
def test_vocabulary(path, members, content, words):
    refused(write(path, members | {MERGES: content}), words)


class TestWeights:
    def changed(self, path, members, change):
        content = io.BytesIO(members[WEIGHTS_FILE])
        with h5py.File(content, "r+") as file:
            shape = file[KERNEL].shape
            if change is not nan:
                del file[KERNEL]
            change(file, shape)
        return write(path, members | {WEIGHTS_FILE: content.getvalue()})

    @pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n"])
    def test_no_hdf5(self, path, members, content):
        refused(write(path, members | {WEIGHTS_FILE: content.ljust(1_000_000, b"x")}), WEIGHTS_FILE)
        refused(write(path, members | {WEIGHTS_FILE: content}), "cannot hold them")

    def test_truncated(self, path, members):
        content = members[WEIGHTS_FILE]
        refused(write(path, members | {WEIGHTS_FILE: content[: len(content) // 2]}), WEIGHTS_FILE)

    def test_arrays(self, path, members):
        for change, words in (
            (nan, "NaN or infinite"),
            (infinite, "NaN or infinite"),
            (texts, "must be of numbers"),
            (objects, "does not lie in the file"),
            (external, "does not lie in the file"),
            (elsewhere, "has a link"),
            (circle, "has a link"),
            (huge, "does not lie in the file|has arrays of more bytes"),
            (compressed, "does not lie in the file|has arrays of more bytes"),
        ):
            with pytest.raises(CheckpointError, match=words) as error:
                open_archive(self.changed(path, members, change), thorough=True)
            assert str(error.value).endswith(f"Received: {path}"), error.value

    def test_arrays_of_another_model(self, path, members, booth):
        """Keras says so, in words of its own; and leaves aside what no layer asks for."""
        numbers = sum(model.count_params() for model in booth.base.components.values())
        load_into = lambda path: open_archive(path, thorough=True).load_weights(booth, numbers)  # noqa: E731
        load_into(write(path, members))
        for change in (missing, group, other_shape):
            refused(self.changed(path, members, change), "of another model", opened=load_into)
        refused(self.changed(path, members, extra), f"and its config describes {numbers}", opened=load_into)

    @pytest.mark.large  # a model is built
    def test_fewer_layers_than_the_file_holds(self, path, members):
        config = json.loads(members[CONFIG_FILE])
        config["config"]["base"]["text_encoder"]["layers"] = 2
        refused(write(path, members | {CONFIG_FILE: json.dumps(config)}), "of another model", opened=load)


def nan(file, shape):
    file[KERNEL][0, 0, 0, 0] = np.nan


def infinite(file, shape):
    file[KERNEL] = np.full(shape, np.inf, "float16")


def texts(file, shape):
    file[KERNEL] = np.full(shape, b"abc", "S3")


def objects(file, shape):
    file.create_dataset(KERNEL, (1,), dtype=h5py.vlen_dtype(np.uint8))


def external(file, shape):
    file.create_dataset(KERNEL, shape, "float32", external=[("/etc/passwd", 0, 4 * int(np.prod(shape)))])


def elsewhere(file, shape):
    file[KERNEL] = h5py.ExternalLink("/etc/other.h5", "/x")


def circle(file, shape):
    file[KERNEL] = h5py.SoftLink(f"/{KERNEL}")


def huge(file, shape):
    file.create_dataset(KERNEL, (1 << 20, 1 << 20), "float32", chunks=(1024, 1024))


def compressed(file, shape):
    file.create_dataset(KERNEL, (30_000, 30_000), "float32", chunks=(1000, 1000), compression="gzip", fillvalue=0)


def missing(file, shape):
    """`changed` has taken it out."""


def group(file, shape):
    file.create_group(KERNEL)


def other_shape(file, shape):
    file[KERNEL] = np.zeros((2, 2), "float16")


def extra(file, shape):
    file[KERNEL] = np.zeros(shape, "float16")
    file["image_encoder/layers/resnet_block_9/vars/0"] = np.zeros(3, "float16")


class TestZip:
    def test_duplicates(self, path, members):
        write(path, members)
        with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr(CONFIG_FILE, "{}")
        refused(path, "two members of one name")

    def test_many_members(self, path, members):
        refused(write(path, members | {f"assets/{number}": b"" for number in range(1000)}), "more than 1000")

    def test_bomb(self, path, members):
        """Of a megabyte of blanks each time, so that the test itself makes little."""
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content if name == CONFIG_FILE else b"")
            with archive.open("assets/more.txt", "w") as member:
                for _ in range(30):
                    member.write(b" " * 1_000_000)
        refused(path, "would inflate to 30 MB")

    def test_compressed_members_open(self, path, members):
        """Somebody unpacked the file and packed it again."""
        found = open_archive(write(path, members, zipfile.ZIP_DEFLATED), thorough=True)
        assert found.found.weights > 1e5

    def test_an_unusual_compression(self, path, members):
        refused(write(path, members, zipfile.ZIP_LZMA), "unusual compression")

    def test_members_that_lead_elsewhere_are_left_alone(self, path, members, tmp_path):
        """Nothing but what is known by name is ever taken out."""
        strangers = {"../../stranger": b"x", f"{tmp_path}/stranger": b"x", "assets/../../stranger": b"x"}
        open_archive(write(path, members | strangers), thorough=True)
        assert sorted(item.name for item in tmp_path.iterdir()) == ["dog.keras"]

    @pytest.mark.parametrize("name", [WEIGHTS_FILE, MERGES, "metadata.json"])
    def test_missing_members(self, path, members, name):
        refused(write(path, {key: content for key, content in members.items() if key != name}), f"lacks {name}")

    def test_no_plain_file(self, path):
        os.mkfifo(path)
        refused(path, "pipe or a device")
        path.unlink()
        path.symlink_to("/dev/zero")
        refused(path, "pipe or a device")
        path.unlink()
        path.symlink_to(path)
        refused(path, "no such file")
