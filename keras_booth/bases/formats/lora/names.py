"""What LoRA files call the layers.

diffusers: `unet.down_blocks.0.….to_q.lora_A.weight`. kohya's trainer, whose layout AUTOMATIC1111 and ComfyUI read, and
diffusers too: `lora_unet_down_blocks_0_…_to_q.lora_down.weight`; for Stable Diffusion XL it names the UNet's layers as
checkpoints in the original layout do: `lora_unet_input_blocks_4_1_…_to_q.lora_down.weight`.
"""

import re

from keras_booth.bases.base import StableDiffusionBase
from keras_booth.bases.formats.names import named_layers
from keras_booth.bases.formats.original.shapes import original_unet_names

# The first is what we write, but for `FIRST_OF_TWO`; `lycoris_` is SimpleTuner's.
KOHYA_PREFIXES = {
    "unet": ("lora_unet_", "lycoris_"),
    "text_encoder": ("lora_te_", "lora_te1_"),
    "text_encoder_2": ("lora_te2_",),
}
FIRST_OF_TWO = "lora_te1_"  # what the first of two text encoders is called
# All that the matrices have been called over the years, with the name of peft's adapter by choice. `lora_mid` lies
# between the two in LyCORIS' LoCon.
PARTS = {
    "down": r"(?:\.lora_A|\.lora_down|\.lora\.down|\.lora_linear_layer\.down|(?<=_lora)\.down)(?:\.\w+)?\.weight$",
    "up": r"(?:\.lora_B|\.lora_up|\.lora\.up|\.lora_linear_layer\.up|(?<=_lora)\.up)(?:\.\w+)?\.weight$",
    "mid": r"\.lora_mid\.weight$",
    "alpha": r"\.alpha$",
}
ATTENTION = re.compile(r"(.*\.(?:attn[12]|self_attn)\.)(to_[qkv]|to_out\.0|[qkv]_proj|out_proj)")
# diffusers' first files have the names that the processor of an attention had for its layers.
OLD_ATTENTION = {
    **{"to_q": "to_q_lora", "to_k": "to_k_lora", "to_v": "to_v_lora", "to_out.0": "to_out_lora"},
    **{"q_proj": "to_q_lora", "k_proj": "to_k_lora", "v_proj": "to_v_lora", "out_proj": "to_out_lora"},
}


def kohya_name(name: str) -> str:
    """`unet.….to_q` -> `lora_unet_…_to_q`."""
    component, rest = name.split(".", 1)
    return KOHYA_PREFIXES[component][0] + rest.replace(".", "_")


def kohya_names(base: StableDiffusionBase) -> dict[str, str]:
    """What kohya's trainer calls the layers of a base: dict by full name."""
    found = {name: kohya_name(name) for name in named_layers(base)}
    if base.config.text_encoder_2 is None:
        return found
    first = KOHYA_PREFIXES["text_encoder"][0]
    found = {name: re.sub(f"^{first}", FIRST_OF_TWO, theirs) for name, theirs in found.items()}
    return found | {name: theirs for theirs, name in original_names(base).items() if name in found}


def aliases(base: StableDiffusionBase, alone: str | None = None) -> dict[str, str]:
    """All that files call the layers of a base, apart from what says the matrix.

    Args:
        base: `StableDiffusionBase`.
        alone: str, the component that a file is known to be for; `None` for one that may have several.

    Returns:
        dict of full names by these.
    """
    found = original_names(base)
    # Of two text encoders the layers have the same names.
    unnamed = ("unet", "text_encoder") if len(base.text_encoders) == 1 else ("unet",)
    for name in named_layers(base):
        component, rest = name.split(".", 1)
        prefixes = [f"{component}."] + [""] * (component == alone or alone is None and component in unnamed)
        # Since transformers 5 the text encoder's layers do not lie in `text_model` any more.
        for short in {rest, rest.removeprefix("text_model.")}:
            attention = ATTENTION.fullmatch(short)
            old = [attention[1] + OLD_ATTENTION[attention[2]]] if attention else []
            # peft's files name no component, nor do those of diffusers' `save_attn_procs`.
            dotted = [prefix + spelling for spelling in (short, *old) for prefix in prefixes]
            flat = [prefix + short.replace(".", "_") for prefix in KOHYA_PREFIXES[component]]
            found |= dict.fromkeys(dotted + flat, name)
    return found


def original_names(base):
    """`aliases` of files that name the UNet's layers as checkpoints in the original layout do."""
    return {
        KOHYA_PREFIXES["unet"][0] + original.replace(".", "_"): f"unet.{name}"
        for original, name in original_unet_names(base).items()
    }


def split_key(key: str) -> tuple[str, str] | None:
    """A key of a file -> `(what it calls the layer, "down", "up", "mid" or "alpha")`, or `None` for another key."""
    key = re.sub(r"^(unet\.|text_encoder\.|text_encoder_2\.)?base_model\.model\.", r"\1", key).replace(
        ".processor.", "."
    )
    for part, pattern in PARTS.items():
        match = re.search(pattern, key)
        if match:
            return key[: match.start()], part
    return None
