"""Ask diffusers' own converter what our original names mean: `python -m tests.bases.formats.make_original_names`.

Each tensor is filled with a number of its own, so that the converted one tells where it came from.
"""

import json
import pathlib
import tempfile
import types

import torch
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)

from keras_booth.bases import load_base
from keras_booth.bases.formats.names import ORIGINAL, component_tensors
from tests.helpers.checkpoints.families import FAMILIES, description, write_checkpoint


def mapping(family):
    """dict of diffusers' `component/name` by original name, for the small checkpoint of a family."""
    with tempfile.TemporaryDirectory() as folder:
        base = load_base(write_checkpoint(family, pathlib.Path(folder)))
    tensors = [tensor for component in component_tensors(base, ORIGINAL).values() for tensor in component]
    checkpoint, places = {}, {}
    for number, tensor in enumerate(tensors):
        if tensor.name not in checkpoint:
            checkpoint[tensor.name] = torch.zeros(tensor.shape)
        if tensor.third is None:
            checkpoint[tensor.name].fill_(number)
            places[number] = tensor.name
        else:
            rows = tensor.shape[0] // 3
            checkpoint[tensor.name][tensor.third * rows : (tensor.third + 1) * rows] = number
            places[number] = f"{tensor.name}[{tensor.third}]"
    configs = description(family)["configs"]
    if family == "1.x":
        text = convert_ldm_clip_checkpoint(checkpoint)
    else:
        model = types.SimpleNamespace(config=types.SimpleNamespace(**configs["text_encoder/config.json"]))
        text = convert_open_clip_checkpoint(model, checkpoint)
    converted = {
        "unet": convert_ldm_unet_checkpoint(checkpoint, configs["unet/config.json"]),
        "vae": convert_ldm_vae_checkpoint(checkpoint, configs["vae/config.json"]),
        "text_encoder": {name.removeprefix("text_model."): tensor for name, tensor in text.items()},
    }
    found = {}
    for component, shapes in description(family)["shapes"].items():
        for name, shape in shapes.items():
            tensor = converted[component][name]
            assert tensor.numel() == torch.Size(shape).numel(), name
            found[places[int(tensor.reshape(-1)[0])]] = f"{component}/{name}"
    return found


def main():
    names = {family: mapping(family) for family in FAMILIES}
    pathlib.Path(__file__).with_name("original_names.json").write_text(
        json.dumps(names, indent=0, sort_keys=True) + "\n"
    )


if __name__ == "__main__":
    main()
