"""Ask other programs which keys of a LoRA and of a checkpoint they know, at Stable Diffusion's full size.

`python -m tests.dreambooth.lora.make_client_keys COMFYUI AUTOMATIC1111 SD_SCRIPTS`, each a folder with the program's
sources; torch, diffusers and transformers must be installed. Their own functions answer, on models without values;
what is kept are names alone, in `client_keys.json.gz`.
"""

import ast
import gzip
import json
import pathlib
import re
import sys
import types
import unittest.mock

FILE = pathlib.Path(__file__).with_name("client_keys.json.gz")
FAMILIES = {
    "1.x": {"context": 768, "linear": False, "heads": 8, "clip": "clip_l", "config": "sd1_clip_config.json"},
    "2.x": {
        **{"context": 1024, "linear": True, "heads": [5, 10, 20, 20], "clip": "clip_h"},
        "config": "text_encoders/sd2_clip_config.json",
    },
}
UNET = {
    **{"in_channels": 4, "out_channels": 4, "model_channels": 320, "num_res_blocks": [2, 2, 2, 2]},
    **{"channel_mult": [1, 2, 4, 4], "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0], "transformer_depth_middle": 1},
    **{"transformer_depth_output": [1] * 9 + [0, 0, 0], "use_spatial_transformer": True},
}
AUTOENCODER = {
    **{"z_channels": 4, "in_channels": 3, "out_ch": 3, "ch": 128, "ch_mult": [1, 2, 4, 4], "num_res_blocks": 2},
    **{"double_z": True, "resolution": 256, "attn_resolutions": [], "dropout": 0.0},
}


def load(folder):
    """Let a program's packages be imported, without what they need for other things than names."""
    # These look for torchvision themselves.
    from diffusers import AutoencoderKL  # noqa: F401
    from transformers import CLIPTextModel  # noqa: F401

    sys.path.insert(0, str(folder))
    for name in ("torchvision", "cv2"):
        sys.modules.setdefault(name, unittest.mock.MagicMock())


class OtherModels(types.ModuleType):
    """ComfyUI's module of models of all kinds, none of which is ours."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def comfy_state(root, family):
    """ComfyUI's models of a family: `(state of the UNet, of the text encoder, of the autoencoder)`, without values."""
    import comfy.clip_model
    import comfy.ops
    import torch
    from comfy.ldm.models.autoencoder import AutoencoderKL
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    with torch.device("meta"):
        unet = UNetModel(
            image_size=32,
            num_heads=8,
            context_dim=family["context"],
            use_linear_in_transformer=family["linear"],
            **{name: list(value) if isinstance(value, list) else value for name, value in UNET.items()},
        )
        config = json.loads((root / "comfy" / family["config"]).read_text())
        clip = comfy.clip_model.CLIPTextModel(config, torch.float32, "meta", comfy.ops.disable_weight_init)
        autoencoder = AutoencoderKL(ddconfig=AUTOENCODER, embed_dim=4)
    states = [model.state_dict() for model in (unet, clip, autoencoder)]
    names = ("diffusion_model.", f"{family['clip']}.transformer.", "")
    return [{prefix + key: value for key, value in state.items()} for prefix, state in zip(names, states, strict=True)]


def original_text(family, state):
    """The keys of the text encoder in a checkpoint, from ComfyUI's own writer of them."""
    import comfy.diffusers_convert

    if family["clip"] == "clip_l":
        return {key.replace("clip_l.", "cond_stage_model."): value for key, value in state.items()}
    renamed = {key.replace("clip_h", "cond_stage_model.model"): value for key, value in state.items()}
    return comfy.diffusers_convert.convert_text_enc_state_dict_v20(renamed)


def comfy_keys(unet, text):
    """ComfyUI: key -> weight."""
    import comfy

    sys.modules["comfy.model_base"] = comfy.model_base = OtherModels("comfy.model_base")
    import comfy.lora

    config = types.SimpleNamespace(unet_config=UNET)
    found = comfy.lora.model_lora_keys_unet(types.SimpleNamespace(state_dict=lambda: unet, model_config=config), {})
    found |= comfy.lora.model_lora_keys_clip(types.SimpleNamespace(state_dict=lambda: text), {})
    return {key: place.removesuffix(".weight") for key, place in found.items() if key.startswith("lora_")}


def a1111_keys(root, keys, unet, text, second):
    """AUTOMATIC1111: key -> module, of all keys that it finds a module for."""
    source = (root / "extensions-builtin" / "Lora" / "networks.py").read_text()
    wanted = ("re_digits", "re_x_proj", "re_compiled", "suffix_conversion", "convert_diffusers_name_to_compvis")
    parts = [
        node
        for node in ast.parse(source).body
        if getattr(node, "name", None) in wanted
        or (isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) in wanted)
    ]
    theirs = {"re": re}
    exec(compile(ast.Module(parts, []), "networks.py", "exec"), theirs)
    modules = {re.sub(r"\.(in_proj_)?(weight|bias)$", "", key) for key in unet}
    modules |= {re.sub(r"\.?(in_proj_)?(weight|bias)$", "", key).removeprefix("cond_stage_model.") for key in text}
    mapping = {name.replace(".", "_"): name for name in modules}
    found = {}
    for key in keys:
        name = theirs["convert_diffusers_name_to_compvis"](key, second)
        module = mapping.get(name)
        projection = theirs["re_x_proj"].match(name)
        if module is None and projection:
            module = mapping.get(projection[1])
        if module is not None:
            found[key] = module
    return found


def scripts_keys(family):
    """sd-scripts: the keys of all modules that its LoRA has for a model, with the module."""
    import torch
    from library.original_unet import UNet2DConditionModel
    from networks.lora import LoRANetwork
    from transformers import CLIPTextConfig, CLIPTextModel

    width = family["context"]
    layers, heads = (12, 12) if width == 768 else (23, 16)
    config = CLIPTextConfig(hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers)
    config.num_attention_heads = heads
    with torch.device("meta"):
        unet = UNet2DConditionModel(64, family["heads"], width, family["linear"])
        text = CLIPTextModel(config)
        network = LoRANetwork(text, unet, lora_dim=1, conv_lora_dim=1)
    modules = {id(module): name for model in (unet, text) for name, module in model.named_modules()}
    found = {lora.lora_name: modules[id(lora.org_module)] for lora in network.unet_loras + network.text_encoder_loras}
    # transformers 5 leaves out `text_model`; sd-scripts is made for 4.
    return {key.replace("lora_te_encoder_", "lora_te_text_model_encoder_"): name for key, name in found.items()}


def main(comfyui, automatic1111, sd_scripts):
    """Write the file."""
    comfyui, automatic1111, sd_scripts = map(pathlib.Path, (comfyui, automatic1111, sd_scripts))
    sys.argv = [sys.argv[0], "--cpu"]  # which ComfyUI reads
    load(comfyui)
    load(sd_scripts)
    import comfy.options

    comfy.options.enable_args_parsing()
    tables = {}
    for name, family in FAMILIES.items():
        unet, text, autoencoder = comfy_state(comfyui, family)
        original = original_text(family, text)
        keys = comfy_keys(unet, text)
        checkpoint = [f"model.{key}" for key in unet] + [f"first_stage_model.{key}" for key in autoencoder]
        tables[name] = {
            "comfyui": keys,
            "automatic1111": a1111_keys(automatic1111, keys, unet, original, name == "2.x"),
            "sd-scripts": scripts_keys(family),
            "checkpoint": sorted([*checkpoint, *original]),
        }
    FILE.write_bytes(gzip.compress(json.dumps(tables, indent=0, sort_keys=True).encode(), mtime=0))


if __name__ == "__main__":
    main(*sys.argv[1:])
