"""Every key that we write is one that ComfyUI, AUTOMATIC1111 and sd-scripts know, and means the same layer to them.

`client_keys.json.gz` is what their own functions say (`make_client_keys.py`), at Stable Diffusion's full size.
"""

import gzip
import json
import pathlib
import re

import pytest

from keras_booth.bases import BaseConfig, named_layers, shape_of, stable_diffusion_version
from keras_booth.bases.formats.lora.names import aliases, kohya_name
from keras_booth.bases.formats.names import ORIGINAL, component_tensors
from keras_booth.bases.formats.original.modelspec import SIZES
from keras_booth.dreambooth import LoraConfig

CLIENTS = json.loads(gzip.decompress(pathlib.Path(__file__).with_name("client_keys.json.gz").read_bytes()))
TARGETS = ("attention", "feed_forward", "convolution")
# In a checkpoint, but no part of what Stable Diffusion computes: OpenCLIP's last layer and projection.
UNUSED = (
    r"cond_stage_model\.(transformer\.text_projection\.weight|model\.(text_projection|transformer\.resblocks\.23\..*))"
)


@pytest.fixture(scope="module", params=[1, 2], ids=["1.x", "2.x"])
def base(request):
    """A base of full size, without values."""
    unet, text_encoder = SIZES[request.param]
    config = BaseConfig(name="full", image_size=512, unet=unet, text_encoder=text_encoder)
    assert stable_diffusion_version(config) == request.param
    return shape_of(config)


@pytest.fixture
def clients(base):
    return CLIENTS[f"{stable_diffusion_version(base.config)}.x"]


def places(base):
    """dict of the places of all layers in the original layout by full name, whatever the kind of text encoder."""
    found = {}
    for tensors in component_tensors(base, ORIGINAL).values():
        for tensor in tensors:
            name = re.sub(r"^model\.|^cond_stage_model\.", "", tensor.name)
            found[id(tensor.variable)] = re.sub(r"\.?(in_proj_)?weight$", "", name)
    return {name: found[id(layer.kernel)] for name, layer in named_layers(base).items()}


def test_every_key_of_a_lora(base, clients):
    written = LoraConfig(targets=TARGETS).select(named_layers(base))
    assert len(written) > 300
    for client in ("comfyui", "automatic1111", "sd-scripts"):
        unknown = {kohya_name(name) for name in written} - clients[client].keys()
        assert unknown == set(), client


def test_it_means_the_same_layer(base, clients):
    """The layer is where our own single file has it."""
    original = places(base)
    for name in LoraConfig(targets=TARGETS).select(named_layers(base)):
        key = kohya_name(name)
        assert clients["automatic1111"][key] == original[name]
        # ComfyUI names the layers of any text encoder as transformers does.
        comfy = original[name] if name.startswith("unet.") else name.replace("text_encoder.", "transformer.")
        assert clients["comfyui"][key].removeprefix("clip_l.").removeprefix("clip_h.") == comfy
        assert name.removeprefix("unet.").removeprefix("text_encoder.text_model.") == clients["sd-scripts"][key]


def test_every_key_of_theirs_is_read(base, clients):
    """All names that they take for a dense layer or a convolution, the original ones included."""
    known, original = aliases(base), places(base)
    layers = set(original.values())
    for client in ("comfyui", "automatic1111"):
        found = {key: place for key, place in clients[client].items() if place in layers}
        assert len(found) > 300
        assert {key: original[known[key]] for key in found} == found
    assert clients["sd-scripts"].keys() <= known.keys()


def test_every_tensor_of_a_checkpoint(base, clients):
    ours = {tensor.name for tensors in component_tensors(base, ORIGINAL).values() for tensor in tensors}
    theirs = set(clients["checkpoint"])
    assert ours <= theirs
    assert [name for name in sorted(theirs - ours) if not re.fullmatch(UNUSED, name)] == []
