"""A folder's weights as variants."""

import json

from safetensors.numpy import load_file, save_file

from tests.helpers.checkpoints.families import WEIGHT_FILES


def mix(folder):
    """Turn a folder's weights into every variant at once."""
    for part in ("unet", "vae"):
        path = folder / part / WEIGHT_FILES[part]
        tensors = {name: array.astype("float16") for name, array in load_file(path).items()}
        path.unlink()
        if part == "vae":
            save_file(tensors, path.with_name(path.name.replace(".safetensors", ".fp16.safetensors")))
            continue
        index, names = {}, sorted(tensors)
        for number, half in enumerate((names[::2], names[1::2]), 1):
            shard = f"diffusion_pytorch_model-0000{number}-of-00002.fp16.safetensors"
            save_file({name: tensors[name] for name in half}, path.with_name(shard))
            index |= dict.fromkeys(half, shard)
        path.with_name(f"{path.name}.index.fp16.json").write_text(json.dumps({"weight_map": index}))
    stale = {"weight_map": {"x": "model-00001-of-00002.safetensors"}}
    (folder / "text_encoder" / "model.safetensors.index.json").write_text(json.dumps(stale))
