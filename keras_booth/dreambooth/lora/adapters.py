"""Low-rank adaptation (LoRA, arXiv:2106.09685): small matrices beside frozen kernels are all that trains."""

import dataclasses
import re
from collections.abc import Iterable, Sequence

import numpy as np
from keras import ops

from keras_booth.tools.errors import InputError
from keras_booth.tools.files.typed_fields import fits, is_finite
from keras_booth.tools.wording import shown

MOST_ALPHA = 1e6  # those in use are at most some hundreds
TARGETS = {
    "attention": r"\.attn[12]\.(to_[qkv]|to_out\.0)$|\.self_attn\.\w+_proj$",
    "feed_forward": r"\.ff\.net\.(0\.proj|2)$|\.mlp\.fc[12]$",
    "convolution": r"\.(conv[12]|conv_shortcut|proj_in|proj_out|(down|up)samplers\.0\.conv)$",
}


@dataclasses.dataclass(frozen=True)
class LoraConfig:
    """Which layers get low-rank matrices, and how large ones.

    Args:
        rank: int >= 1. Columns of A and rows of B.
        alpha: float > 0. The product is weighed by alpha / rank; `None` for the rank, so that it is weighed by 1.
        targets: sequence of `"attention"` (query, key, value and output), `"feed_forward"` (the two dense layers after
            each attention), `"convolution"` (of residual blocks, resampling, and around the attention).
    """

    rank: int = 4
    alpha: float | None = None
    targets: Sequence[str] = ("attention",)

    def __post_init__(self):
        if not (isinstance(self.rank, int) and self.rank >= 1):
            raise InputError(f"LoRA's `rank` must be an integer >= 1. Received: rank={self.rank!r}")
        if self.alpha is not None and not 0 < self.alpha <= MOST_ALPHA:
            raise InputError(f"LoRA's `alpha` must be > 0 and <= {MOST_ALPHA:g}. Received: alpha={self.alpha!r}")
        if isinstance(self.targets, str) or not self.targets or set(self.targets) - set(TARGETS):
            raise InputError(f"LoRA's `targets` must be some of {tuple(TARGETS)}. Received: targets={self.targets!r}")
        object.__setattr__(self, "targets", tuple(self.targets))

    def select(self, names: Iterable[str]) -> dict[str, tuple[int, float]]:
        """dict of `(rank, alpha)` by name, for the layers among `names` that are meant."""
        pattern = re.compile("|".join(TARGETS[target] for target in self.targets))
        alpha = float(self.rank if self.alpha is None else self.alpha)
        return {name: (self.rank, alpha) for name in names if pattern.search(name)}


# === Ours <-> PyTorch's: A (…, inputs, rank) <-> (rank, inputs, …); B (rank, outputs) <-> (outputs, rank, …) ===


def to_theirs(matrix, axes):
    """A or B as PyTorch has it, beside a kernel of so many axes."""
    matrix = ops.convert_to_numpy(matrix)
    matrix = matrix.reshape((1,) * (axes - matrix.ndim) + matrix.shape)
    return matrix.transpose(3, 2, 0, 1) if axes == 4 else matrix.T


def to_ours(matrix):
    """PyTorch's matrix as A or B; B of a convolution with two axes of 1 in front."""
    return matrix.transpose(2, 3, 1, 0) if matrix.ndim == 4 else matrix.T


class Adapters:
    """All low-rank layers of a model.

    Args:
        layers: dict of `keras_booth.bases.LowRank` layers by full name.
    """

    def __init__(self, layers):
        self.layers = layers

    @classmethod
    def attach(cls, layers, sizes, seed):
        """Make them.

        Args:
            layers: dict of plain layers by full name.
            sizes: dict of `(rank, alpha)` by full name.
            seed: int.

        Raises:
            InputError: for a layer that is not there, or another rank or alpha than `LoraConfig` takes.
        """
        for name, size in sizes.items():
            if name not in layers:
                raise InputError(f"LoRA is for a layer that the model does not have. Received: lora of {shown(name)}")
            if not fits(size, tuple[int, float]) or size[0] < 1 or not 0 < size[1] <= MOST_ALPHA:
                raise InputError(
                    f"LoRA's (rank, alpha) must be an integer >= 1, and a number > 0 and <= {MOST_ALPHA:g}. "
                    f"Received: lora of {shown(name)}={shown(size)}"
                )
        for index, (name, (rank, alpha)) in enumerate(sizes.items()):
            layers[name].add_matrices(rank, alpha, seed + index)
        return cls({name: layers[name] for name in sizes})

    @property
    def sizes(self):
        """dict of `(rank, alpha)` by full name."""
        return {name: (layer.lora_rank, layer.lora_alpha) for name, layer in self.layers.items()}

    @property
    def variables(self):
        """list of all A and B."""
        return [v for layer in self.layers.values() for v in (layer.lora_kernel_a, layer.lora_kernel_b)]

    @property
    def active(self):
        """Whether they change what the model computes: B is zero until it is trained, and the scale may be 0."""
        layers = self.layers.values()
        return self.scale != 0 and any(np.any(ops.convert_to_numpy(layer.lora_kernel_b)) for layer in layers)

    def assign(self, matrices):
        """Take values.

        Args:
            matrices: dict of `keras_booth.dreambooth.lora.files.Matrices` by full name.
        """
        merged = self.merged
        self.merge(False)
        for name, layer in self.layers.items():
            for variable, matrix in (
                (layer.lora_kernel_a, matrices[name].down),
                (layer.lora_kernel_b, matrices[name].up),
            ):
                variable.assign(to_ours(matrix).reshape(variable.shape))
        self.merge(merged)

    @property
    def merged(self):
        """Whether the kernels hold the products."""
        return any(layer.lora_merged for layer in self.layers.values())

    @property
    def scale(self):
        """float: what all products are weighed by, on top of alpha / rank."""
        return next(iter(self.layers.values())).lora_scale

    @scale.setter
    def scale(self, scale):
        if not is_finite(scale):
            raise InputError(f"`lora_scale` must be a finite number. Received: lora_scale={scale}")
        merged = self.merged
        self.merge(False)
        for layer in self.layers.values():
            layer.lora_scale = float(scale)
        self.merge(merged)

    def merge(self, merged=True):
        """Add the products to the kernels, or take them away again (up to rounding, which is coarse in bfloat16)."""
        for layer in self.layers.values():
            if layer.lora_merged != merged:
                layer.merge(merged)

    def added(self, variable):
        """What belongs to a weight when it is exported: float32 array, or 0."""
        layer = next((layer for layer in self.layers.values() if layer.kernel is variable), None)
        return 0 if layer is None else ops.convert_to_numpy(layer.product)
