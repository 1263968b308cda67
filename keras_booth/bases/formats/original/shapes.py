"""The names that other programs give the tensors of a single file -> the original ones.

AUTOMATIC1111 and ComfyUI open all of these. A name that stays as it is needs no entry.
"""

import re

from keras_booth.bases.base import StableDiffusionBase
from keras_booth.bases.formats.names import CLIP_PREFIX, OPEN_CLIP_PREFIX, SECOND_PREFIX, TABLES, sublayers, unet_layers
from keras_booth.tools.errors import CheckpointError

UNET, AUTOENCODER, TEXT_ENCODER = "model.diffusion_model.", "first_stage_model.", "cond_stage_model."
# What PyTorch's trainers put around all names.
WRAPPERS = r"^(state_dict\.|module\.)+"
UNET_OF_XL = f"{UNET}label_emb."
RENAMED = (
    # stability-ai's generative-models, and what was saved with it: Stable Diffusion 2.x and its turbo.
    (r"^conditioner\.embedders\.0\.", TEXT_ENCODER),
    (r"^vae\.", AUTOENCODER),
    # transformers without the wrapper of the text model, as of 2022 and of version 5.
    (r"^cond_stage_model\.transformer\.(embeddings|encoder|final_layer_norm)\.", rf"{CLIP_PREFIX}text_model.\1."),
)
# Beside the text encoder: the other half of CLIP, and what it is compared with.
LEFT_OUT = (
    r"cond_stage_model\.((transformer|model|transformer\.text_model)\.)?"
    r"(text_projection|logit_scale|visual|vision_model|visual_projection|attn_mask)(\.|$)|"
    r"conditioner\.embedders\.1\.model\.(logit_scale|visual|attn_mask)(\.|$)"
)
ELSEWHERE = {
    # Of noise levels (arXiv:2206.00364) in place of timesteps.
    r"edm_(mean|std|vpred)": "Playground 2.5 or EDM",
    r"model\.diffusion_model\.joint_blocks\.": "Stable Diffusion 3",
    r"(model\.diffusion_model\.)?double_blocks\.": "Flux",
    r"control_model\.": "ControlNet",
    r"lora_unet_|lora_te|unet\..*lora|base_model\.model\.": "LoRA",
}


def original_name(name):
    """The original name of a tensor, or `None` for one that does not belong to Stable Diffusion."""
    name = re.sub(WRAPPERS, "", name)
    for pattern, original in RENAMED:
        name = re.sub(pattern, original, name)
    return None if re.match(LEFT_OUT, name) else name


def original_unet_names(base: StableDiffusionBase) -> dict[str, str]:
    """What diffusers calls the layers of a base's UNet, by what the original layout calls them: dict of str."""
    return {
        original: name
        for block in unet_layers(base.unet, base.config.unet)
        for _, name, original in sublayers(*block, TABLES)
    }


def refuse_other_models(names, path):
    """Raises a `CheckpointError` for a file of a model that is no Stable Diffusion 1.x, 2.x or XL."""
    for pattern, model in ELSEWHERE.items():
        if any(re.match(pattern, name) for name in names):
            raise CheckpointError(
                f"This is a {model} file; only Stable Diffusion 1.x, 2.x and XL can be a base. Received: {path}"
            )


def has(names, prefix):
    """Whether any name begins so."""
    return any(name.startswith(prefix) for name in names)


def refuse_half(names, path):
    """Raises a `CheckpointError` for a UNet of Stable Diffusion XL without its second text encoder."""
    if has(names, OPEN_CLIP_PREFIX):
        raise CheckpointError(
            f"This is the refiner of Stable Diffusion XL, which has one text encoder and cannot draw by itself: take "
            f"the base, sd_xl_base_1.0. Received: {path}"
        )
    missing = "The second text encoder (OpenCLIP) is" if has(names, TEXT_ENCODER) else "Both text encoders are"
    raise CheckpointError(
        f"{missing} missing: take a file of the whole Stable Diffusion XL checkpoint. Received: {path}"
    )


def refuse_parts(names, path, without_autoencoder=False):
    """Raises a `CheckpointError` that names what a file lacks.

    Args:
        names: collection of original names.
        path: `Path` of the file.
        without_autoencoder: bool. Whether it needs no autoencoder, because another one is given.
    """
    there = {prefix: has(names, prefix) for prefix in (UNET, TEXT_ENCODER, AUTOENCODER)}
    if not there[UNET]:
        raise CheckpointError(
            f"The UNet is missing: this is no whole Stable Diffusion 1.x, 2.x or XL checkpoint. Received: {path}"
        )
    if has(names, UNET_OF_XL) and not has(names, SECOND_PREFIX):
        refuse_half(names, path)
    if not there[TEXT_ENCODER]:
        raise CheckpointError(
            f"The text encoder (CLIP) is missing: take a file of the whole checkpoint, not of the UNet alone. "
            f"Received: {path}"
        )
    if not there[AUTOENCODER] and not without_autoencoder:
        raise CheckpointError(
            f"The autoencoder (VAE) is missing: name one with base.vae, such as "
            f"base.vae=hf://stabilityai/sd-vae-ft-mse. Received: {path}"
        )
