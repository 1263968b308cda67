"""Files that are given as a LoRA for Stable Diffusion and are something else: refused by their kind's name."""

import re
from collections.abc import Mapping, Sequence

from keras_booth.bases.base import BaseConfig
from keras_booth.bases.formats.lora.names import PARTS
from keras_booth.tools.annotations import FilePath
from keras_booth.tools.errors import CheckpointError
from keras_booth.tools.wording import shown

SUPPORTED = "only plain LoRA (LoCon included) for Stable Diffusion 1.x, 2.x and XL can be loaded"
TEXTUAL_INVERSION = "a textual inversion (an embedding) and no LoRA"
# Each with what its keys look like; the first that fits a key is taken.
KINDS = {
    "a checkpoint and no LoRA, which is given as the base": (
        r"(?:model\.diffusion_model|first_stage_model|cond_stage_model|conditioner)\.|(?:text_model\.)?embeddings\.|"
        r"(?:unet\.)?(?:conv_in|conv_out|time_embedding\.linear_[12])\.(?:weight|bias)$|"
        r"(?:encoder|decoder)\.(?:down|up|mid|conv)"
    ),
    "a ControlNet": r"control_model\.|lora_controlnet|input_hint_block|controlnet_",
    TEXTUAL_INVERSION: r"emb_params$|string_to_(?:param|token)|<[^>]*>$|clip_[lg]$",
    "a LoRA with textual inversions in it (bundle_emb)": r"bundle_emb\.",
    "a DoRA": r".*(?:\.dora_scale|lora_magnitude_vector)",
    "a LoHa": r".*\.hada_",
    "a LoKr": r".*\.lokr_",
    "a BOFT": r".*\.boft_",
    "an OFT": r"oft_|.*\.oft_",
    "an IA3": r".*(?:\.on_input$|\.ia3_l|\.ia3_)",
    "a GLoRA": r".*\.[ab][12]\.weight$",
    "a full difference of weights": r".*\.(?:diff|diff_b|set_weight|w_norm|b_norm)$",
    "a VeRA": r".*\.vera_",
    "an AdaLoRA": r".*\.lora_E",
    "a LoRA for Flux": r".*(?:double_blocks|single_blocks|single_transformer_blocks)",
    "a LoRA for Stable Diffusion 3": r".*(?:joint_blocks|text_encoder_3)|lora_te3_",
    "a LoRA for Stable Diffusion 3, Flux or another diffusion transformer": (
        r"(?:base_model\.model\.)?transformer\.|(?:lora|lycoris)_transformer_|(?:base_model\.model\.)?transformer_blocks|"
        r"(?:diffusion_model\.|lora_unet_|lycoris_)(?:blocks|layers|transformer_blocks)[._]"
    ),
}
# Of a base with two text encoders.
XL = {
    "a LoRA for Stable Diffusion XL, and the base is none": (
        r"lora_te2_|text_encoder_2\.|.*(?:add_embedding|label_emb)|.*transformer_blocks[._][1-9]"
    ),
}
# Of the text embeddings.
WIDTHS = {
    768: "Stable Diffusion 1.x",
    1024: "Stable Diffusion 2.x",
    1280: "Stable Diffusion XL's refiner",
    2048: "Stable Diffusion XL",
}


def refuse_other_lora(shapes: Mapping[str, Sequence[int]], config: BaseConfig, path: FilePath) -> None:
    """Raise a `CheckpointError` that names the kind, if a file is of another kind than a plain LoRA for a base.

    Args:
        shapes: dict of the shapes of its tensors.
        config: `BaseConfig` of the base.
        path: path of the file.
    """
    for kind, pattern in (KINDS if config.text_encoder_2 else KINDS | XL).items():
        key = next((key for key in shapes if re.match(pattern, key)), None)
        if key is not None:
            raise CheckpointError(f"This is {kind}; {SUPPORTED}. Received: {path}, with the tensor {shown(key)}")
    # diffusers names an embedding after its token, which may be any word.
    if shapes and all("." not in key and shape and shape[-1] in WIDTHS for key, shape in shapes.items()):
        raise CheckpointError(f"This is {TEXTUAL_INVERSION}; {SUPPORTED}. Received: {path}")
    refuse_other_widths(shapes, config, path)


def refuse_other_widths(shapes, config, path):
    """Raise a `CheckpointError` that names the model, if a LoRA is for text embeddings of another width."""
    own = {"attn2": {config.unet.context_width}, "self_attn": {part.width for part in config.text_encoders.values()}}
    for key, shape in shapes.items():
        layer = re.search(r"(attn2|self_attn)[._](?:processor\.)?(?:to_[kv]|[qkv]_proj|to_q_lora)", key)
        if layer is None or not re.search(PARTS["down"], key):
            continue
        theirs, ours = shape[1] if len(shape) > 1 else 0, own[layer[1]]
        if theirs not in ours and theirs in WIDTHS:
            raise CheckpointError(
                f"This is a LoRA for {WIDTHS[theirs]}: {shown(key)} takes text embeddings of width {theirs}, those of "
                f"the base have {' and '.join(map(str, sorted(ours)))}. Received: {path}"
            )
