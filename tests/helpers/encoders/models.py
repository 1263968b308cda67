"""Encoders in their own formats, with random weights that need not be stored: they follow from a seed."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from keras_booth.bases.formats.diffusers.tokenizer import write_tokenizer
from keras_booth.bases.tokenizer import Tokenizer
from tests.helpers.places import VOCABULARY

GOLDENS = Path(__file__).with_name("goldens.npz")
LENGTH = 16
DESCRIBED = Path(__file__).with_name("layouts.json")
LAYOUTS = json.loads(DESCRIBED.read_text()) if DESCRIBED.exists() else {}
TEXTS = ("a photo of a dog", "a photo of sks dog in the snow", "cat")


def random_weights(shapes, seed=0):
    """dict of float32 arrays by name: the same here and where the goldens were made."""
    rng = np.random.default_rng(seed)

    def spread(shape):
        return 1.5 / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else 0.3

    return {
        name: np.asarray(spread(shape) * rng.standard_normal(shape), "float32")
        for name, shape in sorted(shapes.items())
    }


def random_pictures(count=3, size=(90, 120), seed=1):
    """Smooth random pictures, uint8, with large and small shapes in them."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (count, size[0] // 15, size[1] // 15, 3)).repeat(15, axis=1).repeat(15, axis=2)
    return np.clip(coarse + rng.normal(0, 20, coarse.shape), 0, 255).astype("uint8")


def write_model(folder, name, **changes):
    """A folder as `save_pretrained` writes it, of `LAYOUTS`."""
    layout = LAYOUTS[name]
    if name == "clip":
        write_tokenizer(Tokenizer(VOCABULARY.read_bytes(), LENGTH), folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(layout["config"] | changes))
    (folder / "preprocessor_config.json").write_text(json.dumps(layout["preprocessor"]))
    save_file(random_weights(layout["shapes"]), folder / "model.safetensors")
    return folder


def lpips_weights():
    """Those of `lpips.LPIPS(net="alex")`, whose last layers have no negative ones."""
    weights = random_weights(LAYOUTS["lpips"]["shapes"])
    return {name: np.abs(array) if name.startswith("lin") else array for name, array in weights.items()}


def write_lpips(path):
    """The file of them."""
    save_file(lpips_weights(), path)
    return path
