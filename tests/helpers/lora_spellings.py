"""One LoRA under all the names that programs have given its matrices."""

import numpy as np
from safetensors.numpy import load_file

from keras_booth.bases.formats.lora.names import kohya_name, kohya_names, original_names
from tests.helpers.places import ROOT

OLD = {"to_q": "to_q", "to_k": "to_k", "to_v": "to_v", "to_out.0": "to_out"}
OLD |= {"q_proj": "to_q", "k_proj": "to_k", "v_proj": "to_v", "out_proj": "to_out"}


def golden(family, base):
    """The LoRA of `dreambooth/lora/make_goldens.py`: dict of `[down, up, alpha]` by full name of the layer."""
    tensors = load_file(ROOT / "tests" / "dreambooth" / "lora" / f"{family}-kohya.safetensors")
    parts = ("lora_down.weight", "lora_up.weight", "alpha")
    stems = {theirs: name for name, theirs in kohya_names(base).items()}
    return {
        stems[stem]: [tensors[f"{stem}.{part}"] for part in parts] for stem in {key.split(".")[0] for key in tensors}
    }


def dotted(lora, down, up, rename=str):
    """Names with dots, without alphas."""
    return {rename(name) + end: lora[name][place] for name in lora for place, end in enumerate((down, up))}


def kohya(lora, rename=kohya_name):
    """Names without dots, with alphas."""
    ends = (".lora_down.weight", ".lora_up.weight", ".alpha")
    return {rename(name) + end: matrix for name in lora for end, matrix in zip(ends, lora[name], strict=True)}


def linear_layer(lora):
    """diffusers before peft: the text encoder had a word of its own."""
    unet = {name: matrices for name, matrices in lora.items() if name.startswith("unet.")}
    text = {name: matrices for name, matrices in lora.items() if name not in unet}
    ends = ".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight"
    return dotted(unet, ".lora.down.weight", ".lora.up.weight") | dotted(text, *ends)


def old_attention(name, processor=""):
    """`….attn1.to_q` -> `….attn1.processor.to_q_lora`; other layers stay."""
    for layer, old in OLD.items():
        if name.endswith((f"attn1.{layer}", f"attn2.{layer}", f"self_attn.{layer}")):
            return f"{name.removesuffix(layer)}{'' if 'self_attn' in name else processor}{old}_lora"
    return f"{name}.lora" if "text_model" not in name else f"{name}.lora_linear_layer"


def with_ones(lora):
    """Dense layers as convolutions of one pixel, and these as dense layers."""

    def turn(matrix):
        return matrix[..., None, None] if matrix.ndim == 2 else matrix.squeeze((2, 3))

    changed = {}
    for name, (down, up, alpha) in lora.items():
        small = down.shape[2:] in ((), (1, 1))
        changed[name] = [turn(down), turn(up), alpha] if small else [down, up, alpha]
    return kohya(changed)


# What diffusers' `load_lora_weights` reads.
DIFFUSERS = {
    "kohya": kohya,
    "kohya, te1": lambda lora: kohya(lora, lambda name: kohya_name(name).replace("lora_te_", "lora_te1_")),
    "lora_A": lambda lora: dotted(lora, ".lora_A.weight", ".lora_B.weight"),
    "linear layer": linear_layer,
    "old attention": lambda lora: dotted(
        lora, ".down.weight", ".up.weight", lambda name: old_attention(name, "processor.")
    ),
}


def peft(lora):
    """peft's names, which say no component."""
    return dotted(lora, ".lora_A.weight", ".lora_B.weight", lambda name: f"base_model.model.{name.split('.', 1)[1]}")


def others(base):
    """What is read here beyond that: dict of functions as in `DIFFUSERS`."""
    original = {name: key for key, name in original_names(base).items()}
    unnamed = {
        "no component": lambda lora: dotted(
            lora, ".down.weight", ".up.weight", lambda name: old_attention(name.split(".", 1)[1])
        ),
        "peft": peft,
    }
    # Of two text encoders the layers have the same names.
    return (unnamed if len(base.text_encoders) == 1 else {}) | {
        "no text_model": lambda lora: kohya(lora, lambda name: kohya_name(name).replace("text_model_", "")),
        "name of an adapter": lambda lora: dotted(lora, ".lora_A.dog.weight", ".lora_B.dog.weight"),
        "peft, with component": lambda lora: dotted(
            lora, ".lora_A.weight", ".lora_B.weight", lambda name: name.replace(".", ".base_model.model.", 1)
        ),
        "original names": lambda lora: kohya(lora, lambda name: original.get(name) or kohya_name(name)),
        "lycoris_": lambda lora: kohya(lora, lambda name: kohya_name(name).replace("lora_unet_", "lycoris_")),
        "ones": with_ones,
    }


def tucker(lora, rng):
    """LyCORIS' LoCon: convolutions with a matrix in the middle. Returns `(tensors, lora)`, the same without it."""
    whole, tensors = {}, kohya(lora)
    for name, (down, up, alpha) in lora.items():
        rank, inputs, *window = down.shape
        whole[name] = [down, up, alpha]
        if window and window != [1, 1]:
            first = rng.standard_normal((rank, inputs, 1, 1)).astype("float32")
            middle = rng.standard_normal((rank, rank, *window)).astype("float32")
            stem = kohya_name(name)
            tensors |= {f"{stem}.lora_down.weight": first, f"{stem}.lora_mid.weight": middle}
            whole[name][0] = np.einsum("rshw,si->rihw", middle, first[..., 0, 0])
    return tensors, whole
