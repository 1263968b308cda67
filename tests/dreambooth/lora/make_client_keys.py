"""Ask other programs which keys of a LoRA and of a checkpoint they know, at Stable Diffusion's full size.

`python -m tests.dreambooth.lora.make_client_keys COMFYUI AUTOMATIC1111 SD_SCRIPTS`, each a folder with the program's
sources; torch, diffusers and transformers must be installed. Their own functions answer, on models without values;
what is kept are names alone, in `client_keys.json.gz`.
"""

import ast
import copy
import gzip
import json
import pathlib
import re
import sys
import types
import unittest.mock

FILE = pathlib.Path(__file__).with_name("client_keys.json.gz")
FAMILIES = {
    "1.x": {
        "unet": {"context_dim": 768, "use_linear_in_transformer": False, "num_heads": 8},
        "text": {"clip_l": "sd1_clip_config.json"},
    },
    "2.x": {
        "unet": {"context_dim": 1024, "use_linear_in_transformer": True, "num_heads": 8},
        "text": {"clip_h": "text_encoders/sd2_clip_config.json"},
    },
    "xl": {
        "unet": {
            **{"context_dim": 2048, "use_linear_in_transformer": True, "num_head_channels": 64},
            **{"num_res_blocks": [2, 2, 2], "channel_mult": [1, 2, 4], "transformer_depth": [0, 0, 2, 2, 10, 10]},
            **{"transformer_depth_middle": 10, "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10]},
            **{"num_classes": "sequential", "adm_in_channels": 2816},
        },
        "text": {"clip_l": "sd1_clip_config.json", "clip_g": "clip_config_bigg.json"},
    },
}
# Of 1.x and 2.x.
UNET = {
    **{"image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 320, "use_spatial_transformer": True},
    **{"num_res_blocks": [2, 2, 2, 2], "channel_mult": [1, 2, 4, 4], "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0]},
    **{"transformer_depth_middle": 1, "transformer_depth_output": [1] * 9 + [0, 0, 0]},
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
    """ComfyUI's models of a family: `(state of the UNet, of the text encoders, of the autoencoder)`, without values."""
    import comfy.clip_model
    import comfy.ops
    import torch
    from comfy.ldm.models.autoencoder import AutoencoderKL
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    with torch.device("meta"):
        unet = UNetModel(**copy.deepcopy(UNET | family["unet"]))
        text = {}
        for name, file in family["text"].items():
            config = json.loads((root / "comfy" / file).read_text())
            clip = comfy.clip_model.CLIPTextModel(config, torch.float32, "meta", comfy.ops.disable_weight_init)
            text |= {f"{name}.transformer.{key}": value for key, value in clip.state_dict().items()}
        autoencoder = AutoencoderKL(ddconfig=AUTOENCODER, embed_dim=4)
    return {f"diffusion_model.{key}": value for key, value in unet.state_dict().items()}, text, autoencoder.state_dict()


def original_text(family, state):
    """The keys of the text encoders in a checkpoint, from ComfyUI's own writers of them."""
    if list(family["text"]) == ["clip_l"]:
        return {key.replace("clip_l.", "cond_stage_model."): value for key, value in state.items()}
    import comfy.supported_models

    kind = comfy.supported_models.SDXL if "clip_g" in family["text"] else comfy.supported_models.SD20
    return kind.process_clip_state_dict_for_saving(None, dict(state))


def comfy_keys(family, unet, text):
    """ComfyUI: key -> weight."""
    import comfy

    sys.modules["comfy.model_base"] = comfy.model_base = OtherModels("comfy.model_base")
    import comfy.lora

    config = types.SimpleNamespace(unet_config=UNET | family["unet"])
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
    prefix = r"^cond_stage_model\.|^conditioner\.embedders\."
    modules |= {re.sub(rf"\.?(in_proj_)?(weight|bias)$|{prefix}", "", key) for key in text}
    mapping = {name.replace(".", "_"): name for name in modules}
    found = {}
    for key in keys:
        name = theirs["convert_diffusers_name_to_compvis"](key, second)
        module = mapping.get(name)
        projection = theirs["re_x_proj"].match(name)
        if module is None and projection:
            module = mapping.get(projection[1])
        for old, new in (("lora_unet", "diffusion_model"), ("lora_te1_text_model", "0_transformer_text_model")):
            module = module or mapping.get(key.replace(old, new))
        if module is not None:
            found[key] = module
    return found


def scripts_keys(family):
    """sd-scripts: the keys of all modules that its LoRA has for a model, with the module."""
    import torch
    from library.original_unet import UNet2DConditionModel
    from library.sdxl_original_unet import SdxlUNet2DConditionModel
    from networks.lora import LoRANetwork
    from transformers import CLIPTextConfig, CLIPTextModel

    xl, width = len(family["text"]) > 1, family["unet"]["context_dim"]
    sizes = {768: [(768, 12, 12)], 1024: [(1024, 23, 16)], 2048: [(768, 12, 12), (1280, 32, 20)]}[width]
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads")
    configs = [CLIPTextConfig(**dict(zip(names, row, strict=True)), intermediate_size=4 * row[0]) for row in sizes]
    with torch.device("meta"):
        heads = 8 if width == 768 else [5, 10, 20, 20]
        unet = SdxlUNet2DConditionModel() if xl else UNet2DConditionModel(64, heads, width, width != 768)
        text = [CLIPTextModel(config) for config in configs]
        network = LoRANetwork(text if xl else text[0], unet, lora_dim=1, conv_lora_dim=1, is_sdxl=xl)
    modules = {id(module): name for model in (unet, *text) for name, module in model.named_modules()}
    found = {lora.lora_name: modules[id(lora.org_module)] for lora in network.unet_loras + network.text_encoder_loras}
    # transformers 5 leaves out `text_model`; sd-scripts is made for 4.
    return {
        re.sub(r"^(lora_te\d?)_encoder_", r"\1_text_model_encoder_", key): name.removeprefix("text_model.")
        for key, name in found.items()
    }


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
        keys = comfy_keys(family, unet, text)
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
