"""LoRA matrices <-> `.safetensors` files in the layouts of kohya's trainer and of diffusers."""

import collections
import dataclasses
import pathlib

import numpy as np
from safetensors.numpy import save_file

from keras_booth.bases import (
    Checkpoint,
    as_stored,
    fits,
    kohya_names,
    lora_aliases,
    named_layers,
    refuse_other_lora,
    split_lora_key,
)
from keras_booth.dreambooth.lora.adapters import MOST_ALPHA, to_theirs
from keras_booth.dreambooth.lora.metadata import add_alphas, written_metadata
from keras_booth.tools.dtypes import check_stored
from keras_booth.tools.errors import CheckpointError, InputError
from keras_booth.tools.files.writing import whole_file
from keras_booth.tools.wording import shown

LAYOUTS = ("kohya", "diffusers")
# What diffusers and peft call the file in a folder.
LARGEST = 65504.0  # of a weight's change: what half precision can hold
IN_FOLDERS = ("pytorch_lora_weights.safetensors", "adapter_model.safetensors")


@dataclasses.dataclass
class Matrices:
    """The LoRA of one layer, as a file has it: `down` `(rank, inputs, …)`, `up` `(outputs, rank, …)`, and alpha.

    `mid` `(rank, rank, height, width)` lies between them in LyCORIS' LoCon with a Tucker decomposition, where `down`
    has a window of one pixel.
    """

    down: np.ndarray | None = None
    up: np.ndarray | None = None
    mid: np.ndarray | None = None
    alpha: float | None = None

    @property
    def size(self):
        """`(rank, alpha)`."""
        rank = len(self.down)
        return rank, float(rank if self.alpha is None else self.alpha)

    def join(self):
        """Put what lies in the middle into `down`: the same product without it."""
        if self.mid is not None:
            self.down = np.einsum("rs...,si->ri...", self.mid, self.down.reshape(len(self.down), -1))
            self.mid = None


# === Reading ===


def read_lora(path, base, component=None):
    """Read and check a file of either layout.

    Args:
        path: path of a `.safetensors` file; or of a folder that diffusers or peft wrote, or of one with peft's for
            `unet` and the text encoders.
        base: `StableDiffusionBase`.
        component: str, that which the file is for; `None` where its names say it.

    Returns:
        dict of `Matrices` by the full names of layers.

    Raises:
        CheckpointError: for a file that is missing, damaged, no LoRA, of another kind, or of another base.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        parts = [part for part in ("unet", *base.text_encoders) if (path / part / IN_FOLDERS[1]).is_file()]
        if parts:
            return joined([read_lora(path / part, base, part) for part in parts], path)
        path = next((path / name for name in IN_FOLDERS if (path / name).is_file()), path / IN_FOLDERS[0])
    checkpoint = Checkpoint([path])
    if not checkpoint.shapes:
        raise CheckpointError(f"The file holds no tensors. Received: {path}")
    refuse_other_lora(checkpoint.shapes, base.config, path)
    found = collect(checkpoint, lora_aliases(base, component), path)
    layers = named_layers(base)
    for name, matrices in found.items():
        check_matrices(name, matrices, layers[name], path)
        matrices.join()
    add_alphas(found, checkpoint)
    for name, matrices in found.items():
        check_product(name, matrices, path)
    return {name: found[name] for name in layers if name in found}


def joined(parts, path):
    """The `Matrices` of several files, none of which may have a layer of another."""
    found = {}
    for matrices in parts:
        twice = found.keys() & matrices.keys()
        if twice:
            raise CheckpointError(f"Two files in the folder hold the layer {min(twice)!r}. Received: {path}")
        found |= matrices
    return found


def collect(checkpoint, names, path):
    """The tensors of a file, by layer.

    Args:
        checkpoint: `Checkpoint`.
        names: dict of full names of layers, by all that files call them.
        path: path of the file, for messages.

    Returns:
        dict of `Matrices` by full name.
    """
    found, stems = collections.defaultdict(Matrices), {}
    for key, array in checkpoint.tensors(checkpoint.shapes):
        place = split_lora_key(key)
        if place is None:
            raise CheckpointError(f"The tensor {shown(key)} is of no LoRA that can be read here. Received: {path}")
        name, part = names.get(place[0]), place[1]
        if name is None:
            raise CheckpointError(
                f"The tensor {shown(key)} belongs to a layer that the base does not have: the LoRA is for another "
                f"model. Received: {path}"
            )
        if getattr(found[name], part) is not None:
            raise CheckpointError(f"The file holds {part!r} of {name!r} twice. Received: {path}, with {key!r}")
        # An alpha may be named after the layer, and its matrices after what computed with them.
        if part != "alpha" and stems.setdefault(name, place[0]) != place[0]:
            raise CheckpointError(
                f"The file has two names for the layer {name!r}. Received: {stems[name]!r} and {place[0]!r} in {path}"
            )
        if part != "alpha" and not checkpoint.holds_numbers(key):
            raise CheckpointError(f"The tensor {key!r} must be of floating-point numbers. Received: {path}")
        setattr(found[name], part, read_alpha(key, array, path) if part == "alpha" else array.astype("float32"))
    return dict(found)


def read_alpha(key, array, path):
    """The one number of a tensor."""
    if array.size != 1:
        raise CheckpointError(f"The tensor {key!r} must be a number. Received: shape {shown(array.shape)} in {path}")
    return float(array.item())


def check_product(name, matrices, path):
    """Refuse an alpha out of its range, and matrices whose product no weight could be changed by."""
    rank, alpha = matrices.size
    if not 0 < alpha <= MOST_ALPHA:
        raise CheckpointError(
            f"The alpha of {name!r} must be > 0 and <= {MOST_ALPHA:g}. Received: alpha={alpha:g} in {path}"
        )
    down, up = (float(np.abs(matrix).max()) for matrix in (matrices.down, matrices.up))
    if not down * up * alpha <= LARGEST:
        raise CheckpointError(
            f"The matrices of {name!r} change weights by more than {LARGEST:g}, which no model stands. "
            f"Received: alpha={alpha:g}, values up to {down:.3g} and {up:.3g} in {path}"
        )


def check_matrices(name, matrices, layer, path):
    """Refuse half a pair, and shapes that do not fit the layer."""
    for part in ("down", "up"):
        if getattr(matrices, part) is None:
            raise CheckpointError(f"The matrix {part!r} of {name!r} is missing. Received: {path}")
    kernel = tuple(layer.kernel.shape)
    inputs, outputs, window = kernel[-2], kernel[-1], kernel[:-2]
    rank = matrices.up.shape[1] if matrices.up.ndim > 1 else 0
    one = (1,) * len(window)
    shapes = {"down": (rank, inputs, *(window if matrices.mid is None else one)), "up": (outputs, rank, *one)}
    if matrices.mid is not None:
        shapes["mid"] = (rank, rank, *window)
    for part, shape in shapes.items():
        found = getattr(matrices, part).shape
        # What has a window of one pixel is also written as a dense layer.
        if rank < 1 or not fits(found, shape):
            raise CheckpointError(
                f"The matrix {part!r} of {name!r} has the shape {shown(found)}, not {shape}. Received: {path}"
            )


# === Writing ===


def check_lora(path, layout, dtype):
    """Refuse what `write_lora` could not write.

    Raises:
        InputError: for an unknown layout or dtype, or another ending.
    """
    if layout not in LAYOUTS:
        raise InputError(f"`layout` must be one of {LAYOUTS}. Received: layout={layout!r}")
    check_stored(dtype)
    if path.suffix != ".safetensors":
        raise InputError(f"The file must end in '.safetensors'. Received: path={path}")


def write_lora(layers, path, base, layout="kohya", dtype="float32", subjects=(), prompts=None):
    """Write low-rank layers, under a temporary name until the file is whole.

    Args:
        layers: dict of `keras_booth.bases.LowRank` layers by full name.
        path: path that ends in `.safetensors`.
        base: `StableDiffusionBase`.
        layout: `"kohya"`, which AUTOMATIC1111, ComfyUI and diffusers read; or `"diffusers"`.
        dtype: `"float32"` or `"float16"`.
        subjects: sequence of str, what was taught: `"sks dog"`.
        prompts: dict of dicts, name of a folder -> prompt -> number of its photographs. They and `subjects` are what
            other programs show of the file.

    Returns:
        `Path` of the file.

    Raises:
        InputError: as `check_lora`, and for matrices that are NaN or infinite, or become so in this dtype.
    """
    path = pathlib.Path(path)
    check_lora(path, layout, dtype)
    tensors, names = {}, kohya_names(base)
    for name, layer in layers.items():
        down, up = (
            as_stored(name, to_theirs(matrix, len(layer.kernel.shape)), dtype, path)
            for matrix in (layer.lora_kernel_a, layer.lora_kernel_b)
        )
        if layout == "kohya":
            stem = names[name]
            tensors |= {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up}
            tensors[f"{stem}.alpha"] = np.array(layer.lora_alpha, "float32")
        else:
            tensors |= {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}
    metadata = written_metadata(layers, base.config, layout, subjects, prompts or {}, path.stem)
    with whole_file(path) as part:
        save_file(tensors, part, metadata)
    return path
