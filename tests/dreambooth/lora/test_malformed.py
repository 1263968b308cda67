"""LoRA files that are damaged, or made to harm: one sentence with the path, soon and without much memory."""

import json
import os
import re

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from keras_booth.bases import shape_of
from keras_booth.dreambooth import LoraConfig
from keras_booth.dreambooth.lora.files import read_lora
from keras_booth.dreambooth.lora.metadata import PATTERN
from keras_booth.tools.errors import CheckpointError
from tests.helpers.booths import small_booth, small_config
from tests.helpers.raw_safetensors import BROKEN, write_raw

LAYER = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
FLAT = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"


@pytest.fixture(scope="module")
def base():
    return shape_of(small_config())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lora.safetensors"


def matrices(rank=2, **changes):
    """The tensors of one layer in kohya's names."""
    found = {
        "lora_down.weight": np.full((rank, 32), 0.5, "float32"),
        "lora_up.weight": np.full((32, rank), 0.5, "float32"),
        "alpha": np.array(2.0, "float32"),
    }
    found |= {name.replace("__", "."): value for name, value in changes.items()}
    return {f"{FLAT}.{name}": value for name, value in found.items() if value is not None}


def refused(path, base, *words):
    with pytest.raises(CheckpointError) as error:
        read_lora(path, base)
    text = str(error.value)
    for word in (*words, str(path)):
        assert word in text, text
    assert "\n" not in text and len(text) < 500 + len(str(path))


def test_what_is_not_changed_is_read(path, base):
    save_file(matrices(), path)
    ((name, found),) = read_lora(path, base).items()
    assert name == LAYER and found.size == (2, 2.0)


@pytest.mark.parametrize("kind", BROKEN)
def test_no_safetensors(path, base, kind):
    refused(write_raw(path, *BROKEN[kind]), base, "no `.safetensors` file")


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"lora_down__weight": np.full((2, 32), np.nan, "float32")}, "NaN or infinite"),
        ({"lora_up__weight": np.full((32, 2), -np.inf, "float16")}, "NaN or infinite"),
        ({"lora_up__weight": np.full((32, 2), np.nan).astype(ml_dtypes.bfloat16)}, "NaN or infinite"),
        ({"lora_up__weight": np.full((32, 2), 1e300)}, "NaN or infinite"),
        ({"alpha": np.array(np.nan, "float32")}, "NaN or infinite"),
        ({"alpha": np.array(np.inf, "float32")}, "NaN or infinite"),
        ({"alpha": np.array(1e38, "float32")}, "must be > 0 and <= 1e+06. Received: alpha=1e+38"),
        ({"alpha": np.array(0.0, "float32")}, "must be > 0"),
        ({"alpha": np.array(-2.0, "float32")}, "must be > 0"),
        ({"alpha": np.ones(3, "float32")}, "must be a number"),
        ({"lora_up__weight": np.full((32, 2), 1e20, "float32")}, "change weights by more than 65504"),
        ({"lora_down__weight": np.ones((2, 32), "int8")}, "must be of floating-point numbers"),
        ({"lora_down__weight": None}, "'down' of"),
        ({"lora_up__weight": None}, "'up' of"),
        ({"lora_down__weight": np.array(1.0, "float32")}, "has the shape ()"),
        ({"lora_down__weight": np.ones((0, 32), "float32"), "lora_up__weight": np.ones((32, 0), "float32")}, "shape"),
        ({"lora_down__weight": np.ones((3, 32), "float32")}, "has the shape (3, 32), not (2, 32)"),
        ({"lora_up__weight": np.ones(32, "float32")}, "has the shape"),
        ({"lora_mid__weight": np.ones((2, 2, 3, 3), "float32")}, "has the shape"),
    ],
)
def test_values(path, base, changes, words):
    save_file(matrices(**changes), path)
    refused(path, base, words)


def test_one_layer_under_two_names(path, base):
    dotted = {
        f"{LAYER}.lora_A.weight": np.ones((2, 32), "float32"),
        f"{LAYER}.lora_B.weight": np.ones((32, 2), "float32"),
    }
    save_file(matrices() | dotted, path)
    refused(path, base, "twice")
    save_file(matrices(lora_up__weight=None) | {name: a for name, a in dotted.items() if "lora_B" in name}, path)
    refused(path, base, "has two names for the layer")


def test_one_layer_in_two_files(tmp_path, base):
    for part in ("unet", "text_encoder"):
        (tmp_path / part).mkdir()
        save_file(matrices(), tmp_path / part / "adapter_model.safetensors")
    refused(tmp_path, base, f"Two files in the folder hold the layer {LAYER!r}")


@pytest.mark.parametrize("name", ["x" * 5000, "lora_unet_\n.alpha", f"{FLAT[:-1]}z.alpha"])
def test_names(path, base, name):
    save_file(matrices() | {name: np.ones(1, "float32")}, path)
    refused(path, base)


@pytest.mark.parametrize(
    "fields, words",
    [
        ("{", "'lora_adapter_metadata' is not valid JSON"),
        ("[1]", "must hold a JSON object"),
        ('{"a":' * 5000 + "1" + "}" * 5000, "not valid JSON"),
        ('{"lora_alpha": NaN}', "not valid JSON"),
        ({"lora_alpha": "x"}, "lora_alpha='x'"),
        ({"lora_alpha": 1e38}, "alpha=1e+38"),
        ({"lora_alpha": 2, "alpha_pattern": [1]}, "alpha_pattern=[1]"),
        ({"lora_alpha": 2, "alpha_pattern": {"to_q": "x"}}, "alpha_pattern={'to_q': 'x'}"),
        ({"lora_alpha": 2, "use_rslora": "x"}, "use_rslora='x'"),
        ({"lora_alpha": 2, "alpha_pattern": {"(a+)+$": 1}}, "plain patterns"),
        ({"lora_alpha": 2, "alpha_pattern": {"(": 1}}, "alpha_pattern"),
        ({"lora_alpha": 2, "alpha_pattern": {str(number): 1 for number in range(3000)}}, "at most 2000"),
    ],
)
def test_metadata(path, base, fields, words):
    text = fields if isinstance(fields, str) else json.dumps(fields)
    tensors = {
        f"{LAYER}.lora_A.weight": np.ones((2, 32), "float32"),
        f"{LAYER}.lora_B.weight": np.ones((32, 2), "float32"),
    }
    save_file(tensors, path, {"lora_adapter_metadata": text})
    refused(path, base, words)


def test_patterns_that_peft_writes_are_taken():
    for pattern in (
        "to_q",
        "transformer_blocks.0.attn1.to_q",
        r".*attn1\.to_(q|k)",
        "^down_blocks.0",
        "to_out.0",
        r"attn2\.to_[kv]",
    ):
        assert PATTERN.fullmatch(pattern), pattern
    for pattern in ("(a*)*b", "(.*.*){30}", ".*.*.*.*x", "[ab]+", "a" * 400):
        assert not PATTERN.fullmatch(pattern), pattern


def test_no_plain_file(path, base):
    os.mkfifo(path)
    refused(path, base, "pipe or a device")
    path.unlink()
    path.symlink_to("/dev/zero")
    refused(path, base, "pipe or a device")


def test_a_model_takes_and_writes_no_nonsense(tmp_path):
    booth = small_booth(lora=LoraConfig(rank=2))
    for scale in (np.nan, np.inf, "x"):
        with pytest.raises((ValueError, TypeError), match="lora_scale|number"):
            booth.lora_scale = scale
    variable = booth.adapters.variables[0]
    variable.assign(np.full(variable.shape, 1e5))
    with pytest.raises(ValueError, match=re.escape("in float16")):
        booth.save_lora(tmp_path / "lora.safetensors", dtype="float16")
    variable.assign(np.full(variable.shape, np.nan))
    for write in (booth.save_lora, lambda path: booth.export_weights(path, format="safetensors")):
        with pytest.raises(ValueError, match="NaN or infinite|one residual block more"):
            write(tmp_path / "lora.safetensors")
    with pytest.raises(ValueError, match="computes latents that are NaN.* Received: small$"):
        booth.generate("a photo of sks dog", steps=1)
    assert list(tmp_path.iterdir()) == []
