"""Dense layers and convolutions that can be given low-rank matrices (LoRA, arXiv:2106.09685) beside their kernel.

A kernel W becomes W + scale * (alpha / rank) * A B. Keras's own `enable_lora` makes the matrices; what it does with
them afterwards is corrected here: it forms the whole product in every call (and differentiates it), and it merges A
and B into the kernel on saving and forgets them on loading. Without matrices the layers are Keras's own.
"""

import contextlib
import contextvars
from typing import Any

import keras
from keras import ops

from keras_booth.tools.annotations import Tensor
from keras_booth.tools.errors import InputError

MATRICES = ("lora_kernel_a", "lora_kernel_b")


_loaded_later = contextvars.ContextVar("loaded_later", default=False)
_left_out = contextvars.ContextVar("left_out", default=False)


def loaded_later() -> contextlib.AbstractContextManager[None]:
    """In it layers are made without random numbers, which take longer than reading the weights that replace them: on
    JAX each shape is a program to compile."""
    return _while_true(_loaded_later)


def matrices_left_out() -> contextlib.AbstractContextManager[None]:
    """In it layers compute with their kernel alone, also while a step is compiled: what the base would do. Nothing must
    be differentiated through what is computed in it."""
    return _while_true(_left_out)


@contextlib.contextmanager
def _while_true(variable):
    token = variable.set(True)
    try:
        yield
    finally:
        variable.reset(token)


class LowRank:
    """What the layers below share: A and B beside a kernel that stays as it is.

    `lora_kernel_a` and `lora_kernel_b` are float32 whatever the policy. While `lora_merged`, the kernel holds their
    product already.
    """

    lora_scale = 1.0
    lora_merged = False

    def add_matrices(self, rank: int, alpha: float, seed: int) -> None:
        """Give the built layer its matrices: A as in peft, uniform within 1 / sqrt(inputs); B zero.

        Args:
            rank: int >= 1.
            alpha: float > 0.
            seed: int.
        """
        if self.activation not in (None, keras.activations.linear):
            raise InputError(f"A layer with an activation cannot get LoRA. Received: {self.path}")
        uniform = keras.initializers.VarianceScaling(1 / 3, mode="fan_in", distribution="uniform", seed=seed)
        self.enable_lora(rank, lora_alpha=alpha, a_initializer=uniform)

    def add_weight(self, *args: Any, **kwargs: Any) -> keras.Variable:
        """Kernel, bias, A or B: under the policy bfloat16 only what is frozen may be in half precision."""
        if kwargs.get("name") in MATRICES:
            kwargs["dtype"] = "float32"
        elif _loaded_later.get():
            kwargs["initializer"] = "zeros"
        return super().add_weight(*args, **kwargs)

    def matrices(self, dtype: str) -> tuple[Tensor, Tensor]:
        """A and B in the precision of the inputs; Keras casts them only under a mixed policy."""
        return ops.cast(self.lora_kernel_a, dtype), ops.cast(self.lora_kernel_b, dtype)

    @property
    def kernel(self) -> keras.Variable:
        """The frozen kernel, without A and B."""
        return self._kernel if self.lora_enabled else super().kernel

    @property
    def adds(self) -> bool:
        """Whether a call has to add what A and B say."""
        return self.lora_enabled and not self.lora_merged and not _left_out.get()

    @property
    def factor(self) -> float:
        """What the product of A and B is multiplied by."""
        return self.lora_scale * self.lora_alpha / self.lora_rank

    @property
    def product(self) -> Tensor:
        """What is added to the kernel: float32 array of its shape, without what is merged already."""
        return (0.0 if self.lora_merged else self.factor) * self._outer()

    def _outer(self):
        return ops.matmul(self.lora_kernel_a, self.lora_kernel_b)

    def merge(self, merged: bool) -> None:
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

    def save_own_variables(self, store: Any) -> None:
        """Write kernel, bias, A and B; the kernel always without their product, as `load_own_variables` wants it."""
        if not self.lora_enabled:
            super().save_own_variables(store)
            return
        values = self._stored()
        if self.lora_merged:
            values["0"] = ops.cast(self._kernel, "float32") - self.factor * self._outer()
        for name, value in values.items():
            store[name] = value

    def load_own_variables(self, store: Any) -> None:
        """Read what `save_own_variables` wrote."""
        if not self.lora_enabled:
            super().load_own_variables(store)
            return
        merged, self.lora_merged = self.lora_merged, False
        for name, variable in self._stored().items():
            variable.assign(store[name])
        if merged:
            self.merge(True)


class Dense(LowRank, keras.layers.Dense):
    """A dense layer; A is `(inputs, rank)`, B `(rank, units)`."""

    def call(self, inputs, training=None):
        outputs = super().call(inputs, training)
        if not self.adds:
            return outputs
        a, b = self.matrices(inputs.dtype)
        return outputs + ops.matmul(ops.matmul(inputs, a), self.factor * b)


class Convolution(LowRank, keras.layers.Conv2D):
    """A convolution; A is `(height, width, inputs, rank)`, a convolution too, and B `(rank, filters)`."""

    def call(self, inputs):
        outputs = super().call(inputs)
        if not self.adds:
            return outputs
        a, b = self.matrices(inputs.dtype)
        return outputs + ops.matmul(self.convolution_op(inputs, a), self.factor * b)
