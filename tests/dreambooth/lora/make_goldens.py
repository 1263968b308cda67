"""LoRA files written by diffusers and peft, and what their models compute with them.

`python -m tests.dreambooth.lora.make_goldens`
"""

import pathlib

import diffusers
import numpy as np
import peft
import torch
from diffusers.training_utils import _collate_lora_metadata
from diffusers.utils import convert_state_dict_to_diffusers
from safetensors.torch import save_file

from tests.helpers.checkpoints.families import FAMILIES, inputs, tokenizer_of, values
from tests.helpers.checkpoints.make_goldens import modules

HERE = pathlib.Path(__file__).parent
# As in diffusers' `train_dreambooth_lora.py`, and, for 2.x, convolutions and dense layers too.
UNET_TARGETS = {
    "1.x": ["to_k", "to_q", "to_v", "to_out.0"],
    "2.x": ["to_k", "to_q", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "conv1", "proj_in", "downsamplers.0.conv"],
}
TEXT_TARGETS = ["q_proj", "k_proj", "v_proj", "out_proj"]
RANK, ALPHA, TEXT_ALPHA = 3, 6, 1.5
PROMPT = "a photo of sks dog"


def adapt(module, targets, alpha):
    """Add an adapter of peft with random weights. Returns its state in peft's names."""
    module.add_adapter(peft.LoraConfig(r=RANK, lora_alpha=alpha, target_modules=targets))
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.from_numpy(values(name, tuple(parameter.shape))))
    return peft.utils.get_peft_model_state_dict(module)


def make(family):
    """Write `FAMILY.safetensors`, `FAMILY-kohya.safetensors` and `FAMILY.npz`."""
    parts = modules(family)
    unet, text_encoder = parts["unet"], parts["text_encoder"]
    unet_state = adapt(unet, UNET_TARGETS[family], ALPHA)
    text_state = adapt(text_encoder, TEXT_TARGETS, TEXT_ALPHA)
    diffusers.StableDiffusionPipeline.save_lora_weights(
        HERE,
        unet_lora_layers=convert_state_dict_to_diffusers(unet_state),
        text_encoder_lora_layers=convert_state_dict_to_diffusers(text_state),
        weight_name=f"{family}.safetensors",
        **_collate_lora_metadata({"unet": unet, "text_encoder": text_encoder}),
    )
    kohya = {}
    # kohya's trainer knows a CLIP whose layers lie in `text_model`, which transformers 5 leaves out.
    places = (("lora_unet", unet_state, unet), ("lora_te_text_model", text_state, text_encoder))
    for prefix, state, module in places:
        alpha = module.peft_config["default"].lora_alpha
        for name, tensor in state.items():
            stem, part = name.rsplit(".lora_", 1)
            stem = f"{prefix}_{stem.replace('.', '_')}"
            kohya[f"{stem}.lora_{'down' if part.startswith('A') else 'up'}.weight"] = tensor.contiguous()
            kohya[f"{stem}.alpha"] = torch.tensor(float(alpha))
    save_file(kohya, HERE / f"{family}-kohya.safetensors")
    given = inputs(family)
    tokens = torch.from_numpy(np.asarray(tokenizer_of(family)([PROMPT]), "int64"))
    with torch.no_grad():
        latents = torch.from_numpy(np.ascontiguousarray(given["latents"].transpose(0, 3, 1, 2)))
        timesteps, context = (torch.from_numpy(given[name]) for name in ("timesteps", "context"))
        prediction = unet(latents, timesteps, context).sample.numpy().transpose(0, 2, 3, 1)
        text = text_encoder(tokens).last_hidden_state.numpy()
    np.savez_compressed(HERE / f"{family}.npz", unet=prediction, text_encoder=text)


if __name__ == "__main__":
    for family in FAMILIES:
        make(family)
