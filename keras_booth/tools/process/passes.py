"""One pass over memory, made by XLA, within a step of TensorFlow that is otherwise not compiled."""

import functools
from collections.abc import Callable
from typing import Any

from keras_booth.tools.annotations import Tensor


def one_pass(function: Callable[..., Any], sizes: tuple, *arrays: Tensor) -> Any:
    """`function(*sizes, *arrays)`, compiled by XLA, once for each shape; TensorFlow only.

    Args:
        function: callable of module level, of Keras ops or TensorFlow's.
        sizes: hashable arguments that are part of the program.
        *arrays: tensors.

    Returns:
        what `function` returns: a tensor, or several.
    """
    kinds = tuple((tuple(array.shape), array.dtype) for array in arrays)
    return _compiled(function, sizes, kinds)(*arrays)


@functools.cache
def _compiled(function, sizes, kinds):
    """One for each of the `kinds` of arrays: of one for all TensorFlow would warn that it is compiled too often."""
    import tensorflow as tf

    return tf.function(functools.partial(function, *sizes), jit_compile=True, autograph=False)
