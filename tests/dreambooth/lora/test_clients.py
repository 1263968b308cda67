"""Every key that we write is one that ComfyUI, AUTOMATIC1111 and sd-scripts know, and means the same layer to them.

`client_keys.json.gz` is what their own functions say (`make_client_keys.py`), at Stable Diffusion's full size.
"""

import gzip
import json
import pathlib
import re

import pytest

from keras_booth.bases import BaseConfig, named_layers, shape_of, stable_diffusion_version
from keras_booth.bases.formats.lora.names import aliases, kohya_names
from keras_booth.bases.formats.names import ORIGINAL, component_tensors
from keras_booth.bases.formats.original.modelspec import SIZES, XL, XL_SIZES
from keras_booth.dreambooth import LoraConfig

CLIENTS = json.loads(gzip.decompress(pathlib.Path(__file__).with_name("client_keys.json.gz").read_bytes()))
TARGETS = ("attention", "feed_forward", "convolution")
# In a checkpoint, but no part of what Stable Diffusion computes: OpenCLIP's last layer and projection; positions.
UNUSED = {
    "1.x": r"cond_stage_model\.transformer\.text_projection\.weight",
    "2.x": r"cond_stage_model\.model\.(text_projection|transformer\.resblocks\.23\..*)",
    "xl": r"conditioner\.embedders\.0\.transformer\.text_model\.embeddings\.position_ids",
}
CONFIGS = {
    **{f"{version}.x": {"unet": unet, "text_encoder": text} for version, (unet, text) in SIZES.items()},
    "xl": XL_SIZES,
}


@pytest.fixture(scope="module", params=CONFIGS)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def base(family):
    """A base of full size, without values."""
    config = BaseConfig(name="full", image_size=512, **CONFIGS[family])
    assert stable_diffusion_version(config) == (XL if family == "xl" else int(family[0]))
    return shape_of(config)


@pytest.fixture
def clients(family):
    return CLIENTS[family]


def places(base):
    """dict of the places of all layers in the original layout by full name, whatever the kind of text encoder."""
    found = {}
    for tensors in component_tensors(base, ORIGINAL).values():
        for tensor in tensors:
            name = re.sub(r"^model\.|^cond_stage_model\.|^conditioner\.embedders\.", "", tensor.name)
            found[id(tensor.variable)] = re.sub(r"\.?(in_proj_)?weight$", "", name)
    return {name: found[id(layer.kernel)] for name, layer in named_layers(base).items()}


def test_every_key_of_a_lora(base, clients):
    written, names = LoraConfig(targets=TARGETS).select(named_layers(base)), kohya_names(base)
    assert len(written) > 300
    for client in ("comfyui", "automatic1111", "sd-scripts"):
        unknown = {names[name] for name in written} - clients[client].keys()
        assert unknown == set(), client


def test_it_means_the_same_layer(family, base, clients):
    """The layer is where our own single file has it."""
    original, names = places(base), kohya_names(base)
    for name in LoraConfig(targets=TARGETS).select(named_layers(base)):
        key = names[name]
        assert clients["automatic1111"][key] == original[name]
        # ComfyUI names the layers of any text encoder as transformers does.
        part, _, place = name.partition(".")
        comfy = original[name] if part == "unet" else f"transformer.{place}"
        assert re.sub(r"^clip_\w\.", "", clients["comfyui"][key]) == comfy
        # sd-scripts has diffusers' UNet of 1.x and 2.x, and the original one of XL.
        if part == "unet" and family == "xl":
            place = original[name].removeprefix("diffusion_model.")
        assert clients["sd-scripts"][key] == place.removeprefix("text_model.")


def test_every_key_of_theirs_is_read(base, clients):
    """All names that they take for a dense layer or a convolution, the original ones included."""
    known, original = aliases(base), places(base)
    layers = set(original.values())
    for client in ("comfyui", "automatic1111"):
        found = {key: place for key, place in clients[client].items() if place in layers}
        # What ComfyUI calls the added embedding of another family's.
        found = {key: place for key, place in found.items() if "class_embedding" not in key}
        assert len(found) > 300
        assert {key: original[known[key]] for key in found} == found
    assert clients["sd-scripts"].keys() <= known.keys()


def test_every_tensor_of_a_checkpoint(family, base, clients):
    ours = {tensor.name for tensors in component_tensors(base, ORIGINAL).values() for tensor in tensors}
    theirs = set(clients["checkpoint"])
    assert ours <= theirs
    assert [name for name in sorted(theirs - ours) if not re.fullmatch(UNUSED[family], name)] == []
