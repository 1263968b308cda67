"""Low-rank adaptation (LoRA, arXiv:2106.09685): small matrices beside frozen kernels are all that trains.

A kernel W becomes W + scale * (alpha / rank) * A B. Keras's own `enable_lora` makes the matrices; what it does with
them afterwards is corrected here: it forms the whole product in every call (and differentiates it), and it merges A
and B into the kernel on saving and forgets them on loading.
"""

import dataclasses
import math
import re

import keras
import numpy as np
from keras import ops

from keras_booth.bases.corrections import Conv2D
from keras_booth.tools.errors import InputError

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
    targets: tuple[str, ...] = ("attention",)

    def __post_init__(self):
        if not (isinstance(self.rank, int) and self.rank >= 1):
            raise InputError(f"LoRA's `rank` must be an integer >= 1. Received: rank={self.rank!r}")
        if self.alpha is not None and not 0 < self.alpha < math.inf:
            raise InputError(f"LoRA's `alpha` must be > 0. Received: alpha={self.alpha!r}")
        if isinstance(self.targets, str) or not self.targets or set(self.targets) - set(TARGETS):
            raise InputError(f"LoRA's `targets` must be some of {tuple(TARGETS)}. Received: targets={self.targets!r}")
        object.__setattr__(self, "targets", tuple(self.targets))

    def select(self, names):
        """dict of `(rank, alpha)` by name, for the layers among `names` that are meant."""
        pattern = re.compile("|".join(TARGETS[target] for target in self.targets))
        alpha = float(self.rank if self.alpha is None else self.alpha)
        return {name: (self.rank, alpha) for name in names if pattern.search(name)}


class LowRank:
    """What the layers below share: A and B beside a kernel that stays as it is.

    `lora_kernel_a` and `lora_kernel_b` are float32 whatever the policy. While `lora_merged`, the kernel holds their
    product already.
    """

    lora_scale = 1.0
    lora_merged = False

    def add_weight(self, *args, **kwargs):
        """A or B: under the policy bfloat16 only what is frozen may be in half precision."""
        return super().add_weight(*args, **(kwargs | {"dtype": "float32"}))

    def matrices(self, dtype):
        """A and B in the precision of the inputs; Keras casts them only under a mixed policy."""
        return ops.cast(self.lora_kernel_a, dtype), ops.cast(self.lora_kernel_b, dtype)

    @property
    def kernel(self):
        """The frozen kernel, without A and B."""
        return self._kernel

    @property
    def factor(self):
        """What the product of A and B is multiplied by."""
        return self.lora_scale * self.lora_alpha / self.lora_rank

    @property
    def product(self):
        """What is added to the kernel: float32 array of its shape, without what is merged already."""
        return (0.0 if self.lora_merged else self.factor) * self._outer()

    def _outer(self):
        return ops.matmul(self.lora_kernel_a, self.lora_kernel_b)

    def merge(self, merged):
        """Add A B to the kernel, or take it away again."""
        sign = 1.0 if merged else -1.0
        self.lora_merged = False
        self._kernel.assign_add(ops.cast(sign * self.product, self._kernel.dtype))
        self.lora_merged = merged

    def _stored(self):
        variables = [self._kernel] + ([self.bias] if self.use_bias else [])
        return {str(index): variable for index, variable in enumerate(variables)} | {
            "lora_a": self.lora_kernel_a,
            "lora_b": self.lora_kernel_b,
        }

    def save_own_variables(self, store):
        """Write kernel, bias, A and B; the kernel always without their product, as `load_own_variables` wants it."""
        values = self._stored()
        if self.lora_merged:
            values["0"] = ops.cast(self._kernel, "float32") - self.factor * self._outer()
        for name, value in values.items():
            store[name] = value

    def load_own_variables(self, store):
        """Read what `save_own_variables` wrote."""
        merged, self.lora_merged = self.lora_merged, False
        for name, variable in self._stored().items():
            variable.assign(store[name])
        if merged:
            self.merge(True)


class LowRankDense(LowRank, keras.layers.Dense):
    """A dense layer with A `(inputs, rank)` and B `(rank, units)`."""

    def call(self, inputs, training=None):
        if self.lora_merged:
            return super().call(inputs, training)
        a, b = self.matrices(inputs.dtype)
        low = ops.matmul(ops.matmul(inputs, a), b)
        return super().call(inputs, training) + self.factor * low


class LowRankConv2D(LowRank, Conv2D):
    """A convolution with A `(height, width, inputs, rank)`, a convolution too, and B `(rank, filters)`."""

    def call(self, inputs):
        if self.lora_merged:
            return super().call(inputs)
        a, b = self.matrices(inputs.dtype)
        low = ops.matmul(self.convolution_op(inputs, a), b)
        return super().call(inputs) + self.factor * low


KINDS = {keras.layers.Dense: LowRankDense, Conv2D: LowRankConv2D}


def attach(layer, rank, alpha, seed):
    """Give a plain layer its matrices: A as in peft, uniform within 1 / sqrt(inputs); B zero.

    The layer turns into its own subclass, so that it keeps its variables, its name and its place in the model.

    Args:
        layer: built `Dense` or `Conv2D` without activation.
        rank: int.
        alpha: float.
        seed: int.
    """
    if layer.activation not in (None, keras.activations.linear):
        raise InputError(f"A layer with an activation cannot get LoRA. Received: {layer.path}")
    layer.__class__ = KINDS[type(layer)]
    uniform = keras.initializers.VarianceScaling(1 / 3, mode="fan_in", distribution="uniform", seed=seed)
    layer.enable_lora(rank, lora_alpha=alpha, a_initializer=uniform)


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
        layers: dict of `LowRankDense` and `LowRankConv2D` by full name.
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
        """
        for index, (name, (rank, alpha)) in enumerate(sizes.items()):
            attach(layers[name], rank, alpha, seed=seed + index)
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
            matrices: dict of `keras_booth.dreambooth.lora_files.Matrices` by full name.
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
