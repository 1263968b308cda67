"""Gradients of plain functions on either backend."""

import keras


def gradients(function, inputs, upstream):
    """The outcome, and the gradient of each input, compiled.

    Args:
        function: callable of arrays, returns one array.
        inputs: list of arrays.
        upstream: array, the gradient that arrives at the outcome.

    Returns:
        `(outcome, list of gradients)`.
    """
    if keras.backend.backend() == "jax":
        import jax

        def pulled(inputs, upstream):
            outcome, pull = jax.vjp(function, *inputs)
            return outcome, list(pull(upstream))

        return jax.jit(pulled)(list(inputs), upstream)
    import tensorflow as tf

    @tf.function
    def taped(inputs, upstream):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outcome = function(*inputs)
        return outcome, tape.gradient(outcome, inputs, upstream)

    return taped(list(inputs), upstream)
