"""LoRA files written by diffusers and peft, and what their models compute with them.

`python -m tests.dreambooth.lora.make_goldens [xl]`
"""

import json
import pathlib
import sys

import diffusers
import numpy as np
import peft
import torch
from diffusers.training_utils import _collate_lora_metadata
from diffusers.utils import convert_state_dict_to_diffusers
from safetensors.torch import save_file

from tests.helpers.checkpoints.families import FAMILIES, STEP_LAYERS, inputs, tokens_of, values
from tests.helpers.checkpoints.make_goldens import PREDICTIONS, SCHEDULER, additions, encode, modules, objective
from tests.helpers.places import ROOT

HERE = pathlib.Path(__file__).parent
# As in diffusers' `train_dreambooth_lora.py`, and, for 2.x, convolutions and dense layers too.
UNET_TARGETS = {
    "1.x": ["to_k", "to_q", "to_v", "to_out.0"],
    "2.x": ["to_k", "to_q", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "conv1", "proj_in", "downsamplers.0.conv"],
}
UNET_TARGETS["xl"] = UNET_TARGETS["2.x"]
# What kohya's trainer calls the text encoders.
PREFIXES = {
    "1.x": {"text_encoder": "lora_te"},
    "2.x": {"text_encoder": "lora_te"},
    "xl": {"text_encoder": "lora_te1", "text_encoder_2": "lora_te2"},
}
TEXT_TARGETS = ["q_proj", "k_proj", "v_proj", "out_proj"]
RANK, TEXT_ALPHA = 3, 1.5
# Of the UNet: so much that it shows, and not so much that float32 in torch is 1e-4 from float64.
ALPHAS = {"1.x": 6, "2.x": 6, "xl": 2}
PROMPT = "a photo of sks dog"


def adapt(module, targets, alpha):
    """Add an adapter of peft with random weights. Returns its state in peft's names."""
    module.add_adapter(peft.LoraConfig(r=RANK, lora_alpha=alpha, target_modules=targets))
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.from_numpy(values(name, tuple(parameter.shape))))
    return peft.utils.get_peft_model_state_dict(module)


def unet_name(family, name):
    """What kohya's trainer calls a layer of the UNet that diffusers calls so: the original name, for XL."""
    if family != "xl":
        return name
    golden = json.loads((ROOT / "tests" / "bases" / "formats" / "original_names.json").read_text())[family]
    names = {theirs: original for original, theirs in golden.items()}
    return names[f"unet/{name}.weight"].removeprefix("model.diffusion_model.").removesuffix(".weight")


def step(family, parts, weight):
    """Loss and gradients of diffusers' `train_dreambooth_lora_sdxl.py`, text encoders trained, by LoRA's matrices."""
    scheduler = diffusers.DDIMScheduler(prediction_type=PREDICTIONS[family], **SCHEDULER)
    loss = objective(family, parts, scheduler, 2, weight, train_text=True)
    modules = {name: parts[name] for name in ("unet", *PREFIXES[family])}
    for module in modules.values():
        module.zero_grad()
    loss.backward()
    found = {f"step/{weight}/loss": loss.detach().numpy()}
    for name in STEP_LAYERS:
        component, layer = name.split(".", 1)
        module = modules[component].get_submodule(layer)
        for part, matrices in (("down", module.lora_A), ("up", module.lora_B)):
            found[f"step/{weight}/{name}/{part}"] = matrices["default"].weight.grad.numpy().copy()
    return found


def make(family):
    """Write `FAMILY.safetensors`, `FAMILY-kohya.safetensors` and `FAMILY.npz`."""
    parts = modules(family)
    unet, texts = parts["unet"], {name: parts[name] for name in PREFIXES[family]}
    unet_state = adapt(unet, UNET_TARGETS[family], ALPHAS[family])
    states = {name: adapt(module, TEXT_TARGETS, TEXT_ALPHA) for name, module in texts.items()}
    saver = diffusers.StableDiffusionXLPipeline if family == "xl" else diffusers.StableDiffusionPipeline
    saver.save_lora_weights(
        HERE,
        unet_lora_layers=convert_state_dict_to_diffusers(unet_state),
        weight_name=f"{family}.safetensors",
        **{f"{name}_lora_layers": convert_state_dict_to_diffusers(state) for name, state in states.items()},
        **_collate_lora_metadata({"unet": unet} | texts),
    )
    kohya = {}
    # kohya's trainer knows a CLIP whose layers lie in `text_model`, which transformers 5 leaves out.
    places = [("lora_unet", unet_state, unet)]
    places += [(f"{PREFIXES[family][name]}_text_model", states[name], module) for name, module in texts.items()]
    for prefix, state, module in places:
        alpha = module.peft_config["default"].lora_alpha
        for name, tensor in state.items():
            stem, part = name.rsplit(".lora_", 1)
            stem = unet_name(family, stem) if module is unet else stem.removeprefix("text_model.")
            stem = f"{prefix}_{stem.replace('.', '_')}"
            kohya[f"{stem}.lora_{'down' if part.startswith('A') else 'up'}.weight"] = tensor.contiguous()
            kohya[f"{stem}.alpha"] = torch.tensor(float(alpha))
    save_file(kohya, HERE / f"{family}-kohya.safetensors")
    given = inputs(family)
    with torch.no_grad():
        latents = torch.from_numpy(np.ascontiguousarray(given["latents"].transpose(0, 3, 1, 2)))
        timesteps, context = (torch.from_numpy(given[name]) for name in ("timesteps", "context"))
        more = additions(torch.from_numpy(given["pooled"]) if "pooled" in given else None, given.get("sizes"))
        prediction = unet(latents, timesteps, context, **more).sample.numpy().transpose(0, 2, 3, 1)
        text, pooled = encode(family, parts, tokens_of(family, [PROMPT]))
    arrays = {"unet": prediction, "context": text.numpy()} | ({} if pooled is None else {"pooled": pooled.numpy()})
    for weight in (0.0, 1.0) if family == "xl" else ():
        arrays |= step(family, parts, weight)
    np.savez_compressed(HERE / f"{family}.npz", **arrays)


if __name__ == "__main__":
    for family in sys.argv[1:] or FAMILIES:
        make(family)
