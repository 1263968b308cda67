"""Import, export, import: nothing changes."""

import json
import pathlib

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from keras_booth.bases import export_base, load_base
from keras_booth.bases.formats.names import DIFFUSERS, ORIGINAL, component_tensors
from tests.helpers.checkpoints.families import WEIGHT_FILES
from tests.helpers.places import VOCABULARY


def files(folder):
    """All tensors of a diffusers folder, by component."""
    return {
        component: load_file(folder / component / name)
        for component, name in WEIGHT_FILES.items()
        if (folder / component).is_dir()
    }


def same_weights(one, two):
    for name, model in one.components.items():
        for ours, theirs in zip(model.weights, two.components[name].weights, strict=True):
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_folder_is_bit_equal(folder, base, tmp_path):
    """The tensors of a folder come out as they went in; only today's prefix of the text encoder differs."""
    written = files(export_base(base, tmp_path / "out"))
    for component, tensors in files(folder).items():
        older = component != "text_encoder" or any(name.startswith("text_model.") for name in tensors)
        prefix = "" if older else "text_model."
        assert written[component].keys() == {prefix + name for name in tensors}
        for name, tensor in tensors.items():
            np.testing.assert_array_equal(written[component][prefix + name], tensor)


def test_single_file_is_bit_equal(base, tmp_path):
    """The tensors of a single file come out as they went in, also where nothing but the shapes describes them."""
    path = export_base(base, tmp_path / "one.safetensors", format="safetensors")
    strip_metadata(path)
    again = load_base(path, vocabulary=VOCABULARY, image_size=16)
    first, second = load_file(path), load_file(export_base(again, tmp_path / "two.safetensors", format="safetensors"))
    assert second.keys() == first.keys()
    for name, tensor in first.items():
        np.testing.assert_array_equal(second[name], tensor)


def test_folder_configs(folder, base, tmp_path):
    """What we write says of each field what diffusers wrote; fields that we leave out have diffusers' default."""
    out = export_base(base, tmp_path / "out")
    parts = ("unet", "vae", *base.text_encoders)
    for path in (*(f"{part}/config.json" for part in parts), "scheduler/scheduler_config.json"):
        theirs, ours = (json.loads((root / path).read_text()) for root in (folder, out))
        assert {name: theirs[name] for name in ours if name in theirs} == {
            name: value for name, value in ours.items() if name in theirs
        }, path
    assert load_base(out).config == base.config.named("out")


@pytest.mark.floor
@pytest.mark.parametrize("format, name", [("diffusers", "out"), ("safetensors", "out.safetensors")])
def test_comes_back(base, tmp_path, format, name):
    again = load_base(export_base(base, tmp_path / name, format=format), vocabulary=VOCABULARY)
    same_weights(base, again)
    assert again.config == base.config.named("out" if format == "diffusers" else base.config.name)
    assert again.tokenizer.ids == base.tokenizer.ids
    assert again.tokenizer.pad == base.tokenizer.pad


def test_single_file_without_our_metadata(base, family, tmp_path):
    """Sizes read off the shapes; heads as in Stable Diffusion of the family."""
    path = export_base(base, tmp_path / "plain.safetensors", format="safetensors")
    strip_metadata(path)
    again = load_base(path, vocabulary=VOCABULARY, image_size=16)
    same_weights(base, again)
    assert again.config.unet == base.config.unet
    assert again.config.autoencoder == base.config.autoencoder
    assert again.config.schedule.prediction_type == base.config.schedule.prediction_type
    stated = load_base(path, vocabulary=VOCABULARY, image_size=16, prediction_type="epsilon")
    assert stated.config.schedule.prediction_type == "epsilon"


def test_metadata_of_a_single_file(base, tmp_path, caplog):
    """The small bases are no Stable Diffusion: nothing in the file says so, and a warning says who cannot open it."""
    path = export_base(base, tmp_path / "dog.safetensors", format="safetensors", subjects=("sks dog",))
    with safe_open(path, "numpy") as file:
        found = file.metadata()
    assert json.loads(found.pop("keras_booth.base")) == json.loads(json.dumps(base.config.to_dict()))
    assert found["modelspec.title"] == "sks dog"
    assert "stable-diffusion" not in " ".join(found.values())
    assert "ComfyUI and AUTOMATIC1111 cannot open" in caplog.text


def strip_metadata(path):
    from safetensors.numpy import save_file

    save_file(load_file(path), path)


def test_original_names(base, family):
    """diffusers' own converter turns our original names into those we give diffusers (`make_original_names.py`)."""
    golden = json.loads(pathlib.Path(__file__).with_name("original_names.json").read_text())[family]
    ours = {}
    for component, tensors in component_tensors(base, ORIGINAL).items():
        for original, diffusers in zip(tensors, component_tensors(base, DIFFUSERS)[component], strict=True):
            place = original.name if original.third is None else f"{original.name}[{original.third}]"
            ours[place] = f"{component}/{diffusers.name.removeprefix('text_model.')}"
    assert ours == golden


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_half_precision(base, tmp_path, dtype):
    """float16 files load into float32 variables; they hold the rounded weights."""
    again = load_base(export_base(base, tmp_path / "half", dtype=dtype))
    for ours, theirs in zip(base.unet.weights, again.unet.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy().astype(dtype).astype("float32"), theirs.numpy())
        assert theirs.dtype == "float32"


@pytest.mark.floor
def test_bfloat16_file(folder, base, tmp_path):
    import ml_dtypes
    from safetensors.numpy import save_file

    copy = export_base(base, tmp_path / "copy")
    path = copy / "unet" / WEIGHT_FILES["unet"]
    save_file({name: tensor.astype(ml_dtypes.bfloat16) for name, tensor in load_file(path).items()}, path)
    again = load_base(copy)
    expected = base.unet.weights[0].numpy().astype(ml_dtypes.bfloat16).astype("float32")
    np.testing.assert_array_equal(again.unet.weights[0].numpy(), expected)


def test_shards(folder, base, tmp_path):
    from safetensors.numpy import save_file

    copy = export_base(base, tmp_path / "copy")
    path = copy / "unet" / WEIGHT_FILES["unet"]
    tensors = load_file(path)
    path.unlink()
    names, index = sorted(tensors), {}
    for number, half in enumerate((names[::2], names[1::2]), 1):
        shard = f"diffusion_pytorch_model-0000{number}-of-00002.safetensors"
        save_file({name: tensors[name] for name in half}, path.with_name(shard))
        index |= dict.fromkeys(half, shard)
    path.with_name(path.name + ".index.json").write_text(json.dumps({"weight_map": index}))
    same_weights(base, load_base(copy))
    path.with_name(shard).unlink()
    with pytest.raises(ValueError, match="missing.*00002-of-00002"):
        load_base(copy)


def test_old_names_of_the_attention(folder, base, tmp_path):
    """diffusers before 0.15 called to_q, to_k, to_v and to_out query, key, value and proj_attn."""
    from safetensors.numpy import save_file

    copy = export_base(base, tmp_path / "copy")
    path = copy / "vae" / WEIGHT_FILES["vae"]
    tensors = load_file(path)
    for new, old in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
        tensors = {name.replace(f"attentions.0.{new}.", f"attentions.0.{old}."): tensors[name] for name in tensors}
    save_file(tensors, path)
    same_weights(base, load_base(copy))


def test_tokenizer_json_alone(folder, base, tmp_path):
    """transformers 5 writes one file."""
    copy = export_base(base, tmp_path / "copy")
    (copy / "tokenizer" / "vocab.json").unlink()
    (copy / "tokenizer" / "merges.txt").unlink()
    model = {"vocab": base.tokenizer.ids, "merges": [merge.split() for merge in base.tokenizer.merges]}
    (copy / "tokenizer" / "tokenizer.json").write_text(json.dumps({"model": model}))
    again = load_base(copy)
    assert again.tokenizer.ids == base.tokenizer.ids
    assert again.tokenizer.vocabulary == base.tokenizer.vocabulary
