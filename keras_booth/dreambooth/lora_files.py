"""LoRA matrices <-> `.safetensors` files in the layouts of diffusers and of kohya's trainer.

diffusers: `unet.down_blocks.0.….to_q.lora_A.weight`, with alpha in the metadata. kohya, which AUTOMATIC1111 and ComfyUI
read: `lora_unet_down_blocks_0_…_to_q.lora_down.weight`, with `.alpha` beside it.
"""

import collections
import dataclasses
import json
import pathlib
import re

import numpy as np
from safetensors.numpy import save_file

from keras_booth.bases import Checkpoint
from keras_booth.dreambooth.lora import to_theirs
from keras_booth.tools.errors import CheckpointError, InputError
from keras_booth.tools.files import whole_file

LAYOUTS = ("diffusers", "kohya")
DTYPES = ("float32", "float16")
METADATA_KEY = "lora_adapter_metadata"
KOHYA_PREFIXES = ("lora_unet_", "lora_te_", "lora_te1_")
# All that diffusers has called the two matrices over the years.
DOWN = r"\.(?:lora_A|lora\.down|lora_down|lora_linear_layer\.down)(?:\.default)?\.weight$"
UP = r"\.(?:lora_B|lora\.up|lora_up|lora_linear_layer\.up)(?:\.default)?\.weight$"
# Since transformers 5 the text encoder's layers do not lie in `text_model` any more.
NO_TEXT_MODEL = re.compile(r"^(lora_te_|text_encoder\.)(?=encoder)")
OLD_ATTENTION = re.compile(r"\.processor\.to_(q|k|v|out)_lora\.(down|up)\.weight$")


@dataclasses.dataclass
class Matrices:
    """The LoRA of one layer, as a file has it: `down` `(rank, inputs, …)`, `up` `(outputs, rank, …)`, and alpha."""

    down: np.ndarray | None = None
    up: np.ndarray | None = None
    alpha: float | None = None

    @property
    def size(self):
        """`(rank, alpha)`."""
        rank = len(self.down)
        return rank, float(rank if self.alpha is None else self.alpha)


# === Names ===


def kohya_name(name):
    """`unet.….to_q` -> `lora_unet_…_to_q`."""
    component, rest = name.split(".", 1)
    prefix = {"unet": "lora_unet_", "text_encoder": "lora_te_"}[component]
    return prefix + rest.replace(".", "_")


def split_key(key, names):
    """A key of a file -> `(name of the layer, "down", "up" or "alpha")`, or `None` if it is neither layout's.

    Args:
        key: str.
        names: dict, kohya's name -> the layer's name.
    """
    key = key.replace("lora_te1_", "lora_te_", 1)
    key = NO_TEXT_MODEL.sub(lambda match: f"{match[1]}text_model{match[1][-1]}", key)
    if key.startswith(KOHYA_PREFIXES):
        stem, _, rest = key.partition(".")
        part = {"lora_down.weight": "down", "lora_up.weight": "up", "alpha": "alpha"}.get(rest)
        return (names.get(stem, stem), part) if part else None
    old = OLD_ATTENTION.search(key)
    if old:
        sublayer = "to_out.0" if old[1] == "out" else f"to_{old[1]}"
        return f"{key[: old.start()]}.{sublayer}", old[2]
    for pattern, part in ((DOWN, "down"), (UP, "up"), (r"\.alpha$", "alpha")):
        match = re.search(pattern, key)
        if match:
            return key[: match.start()], part
    return None


# === Files ===


def read_lora(path, layers):
    """Read and check a file of either layout.

    Args:
        path: path of a `.safetensors` file.
        layers: dict of plain layers by full name, those of the base.

    Returns:
        dict of `Matrices` by full name.

    Raises:
        CheckpointError: for a file that is missing, damaged, no LoRA, or of another base.
    """
    checkpoint = Checkpoint([path])
    by_kohya = {kohya_name(name): name for name in layers}
    found = collections.defaultdict(Matrices)
    for key, array in checkpoint.tensors(checkpoint.shapes):
        place = split_key(key, by_kohya)
        if place is None:
            raise CheckpointError(f"The tensor {key!r} is of no LoRA that can be read here. Received: {path}")
        name, part = place
        if name not in layers:
            raise CheckpointError(
                f"The tensor {key!r} belongs to a layer that the base does not have. Received: {path}"
            )
        setattr(found[name], part, array.item() if part == "alpha" else array.astype("float32"))
    if not found:
        raise CheckpointError(f"The file holds no tensors. Received: {path}")
    for name, matrices in found.items():
        check_matrices(name, matrices, layers[name], path)
    add_alphas(found, checkpoint.metadata)
    return dict(found)


def check_matrices(name, matrices, layer, path):
    """Refuse half a pair, and shapes that do not fit the layer."""
    for part in ("down", "up"):
        if getattr(matrices, part) is None:
            raise CheckpointError(f"The matrix {part!r} of {name!r} is missing. Received: {path}")
    kernel = tuple(layer.kernel.shape)
    rank = len(matrices.down)
    shapes = {"down": (rank, kernel[-2], *kernel[:-2]), "up": (kernel[-1], rank, *(1 for _ in kernel[:-2]))}
    for part, shape in shapes.items():
        found = getattr(matrices, part).shape
        # A convolution of one pixel is also written as a dense layer.
        if found != shape and not (set(shape[2:]) <= {1} and found == shape[:2]):
            raise CheckpointError(
                f"The matrix {part!r} of {name!r} has the shape {found}, not {shape}. Received: {path}"
            )


def add_alphas(found, metadata):
    """Take alphas from diffusers' metadata where no tensor says them."""
    try:
        adapters = json.loads(metadata.get(METADATA_KEY, "{}"))
    except ValueError:
        adapters = {}
    for name, matrices in found.items():
        component, rest = name.split(".", 1)
        alphas = adapters.get(f"{component}.alpha_pattern") or {}
        if matrices.alpha is None:
            short = alphas.get(rest.removeprefix("text_model."), adapters.get(f"{component}.lora_alpha"))
            matrices.alpha = alphas.get(rest, short)


def write_lora(layers, path, layout="diffusers", dtype="float32"):
    """Write low-rank layers, under a temporary name until the file is whole.

    Args:
        layers: dict of `keras_booth.bases.LowRank` layers by full name.
        path: path that ends in `.safetensors`.
        layout: `"diffusers"` or `"kohya"`.
        dtype: `"float32"` or `"float16"`.

    Returns:
        `Path` of the file.
    """
    path = pathlib.Path(path)
    if layout not in LAYOUTS:
        raise InputError(f"`layout` must be one of {LAYOUTS}. Received: layout={layout!r}")
    if dtype not in DTYPES:
        raise InputError(f"`dtype` must be one of {DTYPES}. Received: dtype={dtype!r}")
    if path.suffix != ".safetensors":
        raise InputError(f"The file must end in '.safetensors'. Received: path={path}")
    tensors = {}
    for name, layer in layers.items():
        down, up = (to_theirs(matrix, len(layer.kernel.shape)) for matrix in (layer.lora_kernel_a, layer.lora_kernel_b))
        if layout == "kohya":
            stem = kohya_name(name)
            tensors |= {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up}
            tensors[f"{stem}.alpha"] = np.array(layer.lora_alpha)
        else:
            tensors |= {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}
    tensors = {name: np.array(array, dtype, order="C") for name, array in tensors.items()}
    metadata = {"format": "pt"} | (kohya_metadata(layers) if layout == "kohya" else diffusers_metadata(layers))
    with whole_file(path) as part:
        save_file(tensors, part, metadata)
    return path


def common(values):
    """The most frequent of some values."""
    return collections.Counter(values).most_common(1)[0][0]


def diffusers_metadata(layers):
    """What peft's `LoraConfig` needs, as diffusers stores it."""
    adapters = {}
    for component in ("unet", "text_encoder"):
        mine = {name.split(".", 1)[1]: layer for name, layer in layers.items() if name.startswith(f"{component}.")}
        # peft compares the ends of names, so that this says the same before and since transformers 5.
        mine = {name.removeprefix("text_model."): layer for name, layer in mine.items()}
        if not mine:
            continue
        rank, alpha = (common(getattr(layer, key) for layer in mine.values()) for key in ("lora_rank", "lora_alpha"))
        ranks = {name: layer.lora_rank for name, layer in mine.items() if layer.lora_rank != rank}
        alphas = {name: layer.lora_alpha for name, layer in mine.items() if layer.lora_alpha != alpha}
        fields = {"r": rank, "lora_alpha": alpha, "rank_pattern": ranks, "alpha_pattern": alphas}
        fields["target_modules"] = sorted(mine)
        adapters |= {f"{component}.{field}": value for field, value in fields.items()}
    return {METADATA_KEY: json.dumps(adapters, indent=2, sort_keys=True)}


def kohya_metadata(layers):
    """What AUTOMATIC1111 shows of a LoRA."""
    rank, alpha = (common(getattr(layer, key) for layer in layers.values()) for key in ("lora_rank", "lora_alpha"))
    return {"ss_network_module": "networks.lora", "ss_network_dim": str(rank), "ss_network_alpha": str(alpha)}
