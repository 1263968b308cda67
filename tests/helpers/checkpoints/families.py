"""Small checkpoints in diffusers' format, one of each family, with every weight drawn at random.

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
FAMILIES = ("1.x", "2.x", "xl")
# Of each text encoder.
PADDING = {"1.x": ("<|endoftext|>",), "2.x": ("!",), "xl": ("<|endoftext|>", "!")}
PROMPT, NEGATIVE = "a photo of sks dog in the snow", "a red vase"
WEIGHT_FILES = {
    "unet": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
    "text_encoder": "model.safetensors",
    "text_encoder_2": "model.safetensors",
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


def tokenizers_of(family):
    """The small tokenizers of a family, as many as it has text encoders."""
    return [Tokenizer(VOCABULARY.read_bytes(), 77, padding) for padding in PADDING[family]]


def tokens_of(family, prompts):
    """int32 `(prompts, 77)`; or `(prompts, 2, 77)`."""
    found = [tokenizer(prompts) for tokenizer in tokenizers_of(family)]
    return found[0] if len(found) == 1 else np.stack(found, axis=1)


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
    for place, tokenizer in zip(("tokenizer", "tokenizer_2"), tokenizers_of(family), strict=False):
        write_tokenizer(tokenizer, folder / place)
    return folder


def inputs(family):
    """Fixed inputs of the components, float32 arrays with the channels last."""
    rng, unet = np.random.default_rng(7), description(family)["configs"]["unet/config.json"]
    width = unet["cross_attention_dim"]
    given = {
        "latents": rng.standard_normal((2, 8, 8, 4), "float32"),
        "timesteps": np.array([3, 871], "int32"),
        "context": rng.standard_normal((2, 77, width), "float32"),
        "pictures": rng.uniform(-1, 1, (2, 16, 16, 3)).astype("float32"),
        "start": rng.standard_normal((1, 8, 8, 4), "float32"),
    }
    if family == "xl":
        pooled = unet["projection_class_embeddings_input_dim"] - 6 * unet["addition_time_embed_dim"]
        given["pooled"] = rng.standard_normal((2, pooled), "float32")
        given["sizes"] = np.array([[1024, 768, 0, 12, 16, 16], [37, 50, 3, 0, 16, 16]], "float32")
    return given


def draw(base, start, steps, negative=NEGATIVE):
    """The picture of the prompt, float in [0, 1], by DDIM with a guidance of 7.5."""
    text_to_image = TextToImage(base)
    negative = {f"negative_{name}": array for name, array in text_to_image.encode_negative(negative).items()}
    inputs = {"noise": start} | text_to_image.encode([PROMPT]) | negative
    inputs["guidance_scale"] = np.array([7.5], "float32")
    latents = text_to_image.sample(inputs, DrawSettings(Sampling("ddim", steps)))
    return (np.asarray(base.decode(latents)) + 1) / 2


def training_batch(count, family="1.x"):
    """Fixed instance and class samples, `count` of each: pictures, posterior noise, noise, timesteps; and sizes."""
    rng = np.random.default_rng(11)
    batch = {
        "images": rng.uniform(-1, 1, (2 * count, 16, 16, 3)).astype("float32"),
        "posterior_noise": rng.standard_normal((2 * count, 8, 8, 4), "float32"),
        "noise": rng.standard_normal((2 * count, 8, 8, 4), "float32"),
        "timesteps": rng.integers(0, 1000, 2 * count).astype("int32"),
        "is_prior": np.arange(2 * count) >= count,
    }
    if family == "xl":
        sizes = np.concatenate([rng.integers(16, 2000, (2 * count, 2)), rng.integers(0, 9, (2 * count, 2))], axis=1)
        batch["sizes"] = np.concatenate([sizes, np.full((2 * count, 2), 16)], axis=1).astype("float32")
    return batch


INSTANCE_PROMPT, CLASS_PROMPT = "a photo of sks dog", "a photo of a dog"
# Layers with LoRA whose gradients are compared, of XL.
STEP_LAYERS = (
    "unet.down_blocks.1.attentions.0.transformer_blocks.1.attn2.to_k",
    "unet.up_blocks.0.attentions.1.transformer_blocks.2.attn1.to_v",
    "text_encoder.text_model.encoder.layers.0.self_attn.q_proj",
    "text_encoder_2.text_model.encoder.layers.0.self_attn.v_proj",
    "text_encoder_2.text_model.encoder.layers.1.self_attn.k_proj",  # through the pooled embedding alone
)
# Of the beginning, the middle and the end of the UNet; in diffusers' names.
COMMON = ("mid_block.resnets.0.norm2.weight", "conv_in.weight")
TO_K = "transformer_blocks.0.attn2.to_k.weight"
WATCHED = {
    "1.x": (f"down_blocks.0.attentions.0.{TO_K}", *COMMON),
    "2.x": (f"down_blocks.0.attentions.0.{TO_K}", *COMMON),
    "xl": (
        *(f"down_blocks.1.attentions.0.{TO_K}", "mid_block.attentions.0.transformer_blocks.2.norm3.weight"),
        *("add_embedding.linear_1.bias", *COMMON),
    ),
}
