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
    first = "text_encoder" if family == "2.x" else "text_encoder_2"
    texts = {"text_encoder": convert_ldm_clip_checkpoint(checkpoint)} if family != "2.x" else {}
    if family != "1.x":
        model = types.SimpleNamespace(config=types.SimpleNamespace(**configs[f"{first}/config.json"]))
        prefix = {"prefix": "conditioner.embedders.1.model."} if family == "xl" else {}
        texts[first] = convert_open_clip_checkpoint(model, checkpoint, **prefix)
    converted = {
        "unet": convert_ldm_unet_checkpoint(checkpoint, configs["unet/config.json"]),
        "vae": convert_ldm_vae_checkpoint(checkpoint, configs["vae/config.json"]),
        **{
            component: {name.removeprefix("text_model."): tensor for name, tensor in text.items()}
            for component, text in texts.items()
        },
    }
    found = {}
    for component, shapes in description(family)["shapes"].items():
        for name, shape in shapes.items():
            tensor = converted[component][name.removeprefix("text_model.")]
            assert tensor.numel() == torch.Size(shape).numel(), name
            found[places[int(tensor.reshape(-1)[0])]] = f"{component}/{name.removeprefix('text_model.')}"
    return found


def main():
    names = {family: mapping(family) for family in FAMILIES}
    pathlib.Path(__file__).with_name("original_names.json").write_text(
        json.dumps(names, indent=0, sort_keys=True) + "\n"
    )


if __name__ == "__main__":
    main()
