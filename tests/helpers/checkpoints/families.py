"""Two small checkpoints in diffusers' format, one of each family, with every weight drawn at random.

Their configs, tensor names and shapes were written by diffusers and transformers (`make_goldens.py`); the values are
a function of a tensor's name, so that they need not be stored.
"""

import json
import pathlib
import zlib

import numpy as np
from safetensors.numpy import save_file

from keras_booth.bases import DrawSettings, TextToImage
from keras_booth.bases.formats.diffusers.tokenizer import write_tokenizer
from keras_booth.bases.tokenizer import Tokenizer
from keras_booth.diffusion import Sampling
from tests.helpers.places import VOCABULARY

HERE = pathlib.Path(__file__).parent
FAMILIES = ("1.x", "2.x")
PADDING = {"1.x": "<|endoftext|>", "2.x": "!"}
PROMPT, NEGATIVE = "a photo of sks dog in the snow", "a red vase"
WEIGHT_FILES = {
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
    "text_encoder": "model.safetensors",
}


def values(name, shape):
    """The float32 weights of a tensor: random, norms and biases included, in a range in which nothing saturates."""
    noise = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape).astype("float32")
    if name.endswith("bias"):
        return 0.1 * noise
    if len(shape) == 1:
        return 1.0 + 0.2 * noise
    if "embedding.weight" in name:
        return 0.3 * noise
    return noise / np.float32(np.sqrt(np.prod(shape[1:])))


def tokenizer_of(family):
    """The small tokenizer of a family."""
    return Tokenizer(VOCABULARY.read_bytes(), 77, PADDING[family])


def description(family):
    """What diffusers wrote: dict of `configs`, by path, and `shapes`, by component and name."""
    return json.loads((HERE / f"{family}.json").read_text())


def goldens(family):
    """Arrays that diffusers computed with the checkpoint."""
    return np.load(HERE / f"{family}.npz")


def write_checkpoint(family, folder, dtype="float32"):
    """Write the checkpoint of a family.

    Returns:
        the folder.
    """
    described = description(family)
    for path, config in described["configs"].items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(json.dumps(config))
    for component, shapes in described["shapes"].items():
        tensors = {name: values(name, shape).astype(dtype) for name, shape in shapes.items()}
        save_file(tensors, folder / component / WEIGHT_FILES[component])
    write_tokenizer(tokenizer_of(family), folder / "tokenizer")
    return folder


def inputs(family):
    """Fixed inputs of the components, float32 arrays with the channels last."""
    rng = np.random.default_rng(7)
    width = description(family)["configs"]["text_encoder/config.json"]["hidden_size"]
    return {
        "latents": rng.standard_normal((2, 8, 8, 4), "float32"),
        "timesteps": np.array([3, 871], "int32"),
        "context": rng.standard_normal((2, 77, width), "float32"),
        "pictures": rng.uniform(-1, 1, (2, 16, 16, 3)).astype("float32"),
        "start": rng.standard_normal((1, 8, 8, 4), "float32"),
    }


def draw(base, start, steps):
    """The picture of the prompt, float in [0, 1], by DDIM with a guidance of 7.5."""
    text_to_image = TextToImage(base)
    negative = {f"negative_{name}": array for name, array in text_to_image.encode([NEGATIVE]).items()}
    inputs = {"noise": start} | text_to_image.encode([PROMPT]) | negative
    inputs["guidance_scale"] = np.array([7.5], "float32")
    latents = text_to_image.sample(inputs, DrawSettings(Sampling("ddim", steps)))
    return (np.asarray(base.decode(latents)) + 1) / 2


def training_batch(count):
    """Fixed instance and class samples, `count` of each: pictures, posterior noise, noise, timesteps."""
    rng = np.random.default_rng(11)
    return {
        "images": rng.uniform(-1, 1, (2 * count, 16, 16, 3)).astype("float32"),
        "posterior_noise": rng.standard_normal((2 * count, 8, 8, 4), "float32"),
        "noise": rng.standard_normal((2 * count, 8, 8, 4), "float32"),
        "timesteps": rng.integers(0, 1000, 2 * count).astype("int32"),
        "is_prior": np.arange(2 * count) >= count,
    }


INSTANCE_PROMPT, CLASS_PROMPT = "a photo of sks dog", "a photo of a dog"
# Of the beginning, the middle and the end of the UNet; in diffusers' names.
WATCHED = (
    "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight",
    "mid_block.resnets.0.norm2.weight",
    "conv_in.weight",
)
