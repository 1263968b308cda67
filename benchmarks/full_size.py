"""Stable Diffusion at full size with random weights, ours and diffusers', and a process for each measurement.

The families are 1.x and XL.

`small` is the same with few channels, to try the benchmarks themselves.
"""

import dataclasses
import gzip
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

TOKENS = 49408  # of CLIP's vocabulary
WIDTHS = {False: (320, 640, 1280, 1280), True: (32, 64, 64, 64)}
CONTEXT = {False: 768, True: 64}
AUTOENCODER = {False: (128, 256, 512, 512), True: (32, 32, 32, 32)}
LAYERS = {False: 12, True: 2}
PRESETS = {"1.x": "stable_diffusion_1.4", "xl": "stable_diffusion_xl"}
# XL's, its second text encoder's among them.
XL_WIDTHS = {False: (320, 640, 1280), True: (32, 64, 128)}
XL_TEXT = {
    False: {"width": 1280, "layers": 32, "heads": 20, "pooled_width": 1280},
    True: {"width": 64, "layers": 2, "heads": 4, "pooled_width": 64},
}


def as_a_command():
    """To be called first in our cases: Keras and its settings as our commands have them, without PyTorch."""
    from keras_booth.tools.process.quiet import quiet_import

    with quiet_import():
        import keras_booth.dreambooth  # noqa: F401


def our_booth(size, dtype="float32", small=False, family="1.x", **options):
    """A `DreamBooth` for pictures of so many pixels."""
    import keras_booth
    from keras_booth.bases import StableDiffusionBase, describe_base

    with tempfile.TemporaryDirectory() as folder:
        request = {"weights": None, "image_size": size, "vocabulary": write_vocabulary(folder)}
        if not small:
            return keras_booth.DreamBooth.from_preset(PRESETS[family], dtype=dtype, **request, **options)
        config, tokenizer = describe_base(PRESETS[family], **request)
    fields = {"text_encoder": {"width": CONTEXT[True], "layers": LAYERS[True], "heads": 4}}
    fields["unet"] = {"widths": WIDTHS[True], "context_width": CONTEXT[True]}
    if family == "xl":
        text = fields["text_encoder_2"] = XL_TEXT[True]
        sizes = {"widths": XL_WIDTHS[True], "heads": (0, 2, 4), "middle_heads": 4}
        sizes |= {"context_width": CONTEXT[True] + text["width"], "pooled_width": text["pooled_width"]}
        fields["unet"] = sizes
    fields["autoencoder"] = {"widths": AUTOENCODER[True]}
    parts = {name: dataclasses.replace(getattr(config, name), **changes) for name, changes in fields.items()}
    return keras_booth.DreamBooth(
        StableDiffusionBase(dataclasses.replace(config, **parts), tokenizer, dtype), dtype=dtype, **options
    )


def write_vocabulary(folder):
    """A vocabulary of CLIP's size in a folder, of pairs of letters."""
    from keras_booth.bases import tiny_world
    from keras_booth.bases.tokenizer import Tokenizer

    letters = list(Tokenizer(tiny_world.VOCABULARY.read_bytes()).ids)[:256]
    pairs = itertools.islice(itertools.product(letters, letters), TOKENS - 2 * len(letters) - 2)
    path = Path(folder, "vocabulary.txt.gz")
    path.write_bytes(gzip.compress("\n".join(["#version", *(f"{a} {b}</w>" for a, b in pairs)]).encode()))
    return path


def their_parts(size, small=False, family="1.x"):
    """diffusers' and transformers' `(unet, vae, text encoders)`, in PyTorch's default dtype."""
    import diffusers

    width = CONTEXT[small]
    if family == "xl":
        text = XL_TEXT[small]
        sizes = {
            **{"block_out_channels": XL_WIDTHS[small], "cross_attention_dim": width + text["width"]},
            **{"attention_head_dim": (5, 2, 4) if small else (5, 10, 20), "transformer_layers_per_block": (1, 2, 10)},
            **{"down_block_types": ("DownBlock2D", *["CrossAttnDownBlock2D"] * 2), "use_linear_projection": True},
            **{"up_block_types": (*["CrossAttnUpBlock2D"] * 2, "UpBlock2D"), "addition_embed_type": "text_time"},
            **{"addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": text["pooled_width"] + 6 * 256},
        }
    else:
        sizes = {"block_out_channels": WIDTHS[small], "cross_attention_dim": width, "attention_head_dim": 8}
    unet = diffusers.UNet2DConditionModel(sample_size=size // 8, **sizes)
    vae = diffusers.AutoencoderKL(
        block_out_channels=AUTOENCODER[small],
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
    )
    return unet, vae, their_text_encoders(small, family)


def their_text_encoders(small, family):
    """transformers' one or two."""
    import transformers

    def config(width, layers, heads, **other):
        sizes = {"hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers}
        return transformers.CLIPTextConfig(**sizes, num_attention_heads=heads, **other)

    first = transformers.CLIPTextModel(config(CONTEXT[small], LAYERS[small], 4 if small else 12))
    if family != "xl":
        return [first]
    sizes = XL_TEXT[small] | {"hidden_act": "gelu"}
    return [first, transformers.CLIPTextModelWithProjection(config(projection_dim=sizes.pop("pooled_width"), **sizes))]


def their_device():
    """ "cuda" where PyTorch has it."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def peak():
    """Most memory this process ever held, in GB: of the GPU, where what was measured ran there; else of the machine."""
    torch, jax, tensorflow = (sys.modules.get(name) for name in ("torch", "jax", "tensorflow"))
    if torch is not None and torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    if jax is not None and jax.default_backend() != "cpu":
        return jax.local_devices()[0].memory_stats()["peak_bytes_in_use"] / 1e9
    if tensorflow is not None and tensorflow.config.list_physical_devices("GPU"):
        return tensorflow.config.experimental.get_memory_info("GPU:0")["peak"] / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def measure(script, case, *flags, **environment):
    """One case in a process of its own: what `script --case JSON` prints last."""
    line = [sys.executable, script, "--case", json.dumps(case), *map(str, flags)]
    done = subprocess.run(line, capture_output=True, text=True, env=os.environ | environment)
    if done.returncode:
        raise SystemExit(f"{case} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])
