"""What transformers and lpips say of the same weights and pictures: `python -m tests.helpers.encoders.make_goldens`.

Needs torch, transformers and lpips. LPIPS needs of torchvision only its AlexNet; where it is not installed, a file of
its sources does: `TORCHVISION=…/torchvision/models/alexnet.py`.
"""

import json
import os
import re
import sys
import tempfile
import types
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image
from safetensors.numpy import load_file

HERE = Path(__file__).parent
SMALL = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 96}
VISION = SMALL | {"image_size": 48, "patch_size": 16}


def models(vocabulary_size):
    """The transformers models with their image processors, by name."""
    from tests.helpers.encoders.models import LENGTH

    text = SMALL | {"vocab_size": vocabulary_size, "max_position_embeddings": LENGTH}
    text |= {"bos_token_id": vocabulary_size - 2, "eos_token_id": vocabulary_size - 1}
    clip = transformers.CLIPConfig(text_config=text, vision_config=VISION, projection_dim=24)
    imagenet = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    return {
        "dino": (
            transformers.ViTModel(transformers.ViTConfig(**VISION)),
            transformers.ViTImageProcessorPil(size={"height": 48, "width": 48}, **imagenet),
        ),
        "clip": (
            transformers.CLIPModel(clip),
            transformers.CLIPImageProcessorPil(size={"shortest_edge": 48}, crop_size={"height": 48, "width": 48}),
        ),
    }


def describe(model, processor):
    """The files that `save_pretrained` writes, without the weights."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        config, preprocessor = (
            json.loads(Path(folder, f"{name}.json").read_text()) for name in ("config", "preprocessor_config")
        )
        # The model's own names are others: transformers renames when it saves.
        shapes = {name: list(array.shape) for name, array in load_file(Path(folder, "model.safetensors")).items()}
    return {"config": config, "preprocessor": preprocessor, "shapes": shapes}


def perceptual():
    """`lpips.LPIPS` with AlexNet, none of whose weights matter."""
    if os.environ.get("TORCHVISION"):
        source = Path(os.environ["TORCHVISION"]).read_text()
        alexnet = re.search(r"class AlexNet\(nn.Module\):.*?(?=\nclass )", source, re.DOTALL)[0]
        scope = {"nn": torch.nn, "torch": torch}
        exec(alexnet.replace("_log_api_usage_once(self)", "pass"), scope)
        module = sys.modules["torchvision"] = types.ModuleType("torchvision")
        module.models = sys.modules["torchvision.models"] = types.ModuleType("torchvision.models")
        module.models.alexnet = lambda pretrained=False: scope["AlexNet"]()
    import lpips

    return lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()


def channels_first(array):
    return torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2)))


def main():
    from tests.helpers.encoders import models as ours
    from tests.helpers.tokenizer_files import SIZE

    found = models(SIZE)
    layouts = {name: describe(*pair) for name, pair in found.items()}
    distance = perceptual()
    names = [name for name in distance.state_dict() if not name.startswith(("lins.", "scaling_layer."))]
    layouts["lpips"] = {"shapes": {name: list(distance.state_dict()[name].shape) for name in names}}
    ours.LAYOUTS.update(layouts)
    (HERE / "layouts.json").write_text(json.dumps(layouts, indent=1) + "\n")

    pictures, arrays = ours.random_pictures(), {}
    for name, (model, processor) in found.items():
        prepared = processor([Image.fromarray(picture) for picture in pictures], return_tensors="pt")["pixel_values"]
        arrays[f"{name}_pixels"] = prepared.numpy().transpose(0, 2, 3, 1)
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            folder = ours.write_model(Path(folder, name), name)
            model = type(model).from_pretrained(folder).eval()
            if name == "dino":
                arrays["dino"] = model(prepared).last_hidden_state[:, 0].numpy()
                continue
            options = {"padding": "max_length", "truncation": True, "max_length": ours.LENGTH}
            tokenizer = transformers.CLIPTokenizer.from_pretrained(folder)
            tokens = tokenizer(list(ours.TEXTS), return_tensors="pt", **options)["input_ids"]
            output = model(input_ids=tokens, pixel_values=prepared)
            arrays |= {"clip_images": output.image_embeds.numpy(), "clip_texts": output.text_embeds.numpy()}
    weights = {name: torch.from_numpy(array) for name, array in ours.lpips_weights().items()}
    distance.load_state_dict(weights, strict=False)
    scaled = channels_first(pictures.astype("float32") / 127.5 - 1)
    with torch.no_grad():
        rows = [[distance(one[None], other[None]).item() for other in scaled] for one in scaled]
    arrays["lpips"] = np.array(rows, "float32")
    np.savez_compressed(ours.GOLDENS, **{name: array.astype("float32") for name, array in arrays.items()})


if __name__ == "__main__":
    main()
