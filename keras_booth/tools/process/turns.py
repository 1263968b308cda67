"""Work that is done piece by piece, so that only one piece's memory is held."""

from collections.abc import Callable, Sequence

import keras

from keras_booth.tools.annotations import Tensor


def in_turn(
    function: Callable[..., Sequence[Tensor]], arrays: Sequence[Tensor], shapes: Sequence[tuple[int, ...]]
) -> list[Tensor]:
    """`function` of each row of some arrays, one row after the other (`keras.ops.map` works at ten at once).

    Args:
        function: callable of as many tensors as there are arrays; returns a sequence of tensors.
        arrays: of one length and dtype.
        shapes: of what `function` returns, whose dtype is that of the arrays.

    Returns:
        list of what `function` returns, each with the rows as its first axis.
    """
    if keras.backend.backend() == "jax":
        import jax

        return list(jax.lax.map(lambda rows: tuple(function(*rows)), tuple(arrays)))
    import tensorflow as tf

    return tf.map_fn(
        lambda rows: list(function(*rows)),
        list(arrays),
        fn_output_signature=[tf.TensorSpec(shape, arrays[0].dtype) for shape in shapes],
        parallel_iterations=1,
    )
