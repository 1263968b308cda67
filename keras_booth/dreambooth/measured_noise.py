"""With what pictures are noised when they are measured: the same in every evaluation."""

import functools
from typing import Any

import keras
from keras import ops

from keras_booth.tools.annotations import Tensor
from keras_booth.tools.process.replicas import of_batch, whole

GOLDEN = 0.6180339887498949  # its multiples, modulo 1, spread evenly, however many there are


class CountedSeed(keras.random.SeedGenerator):
    """A seed that follows from two numbers and changes nothing, for `keras.random` in a compiled step.

    Args:
        seed: int.
        count: scalar, which may be known to the compiled step alone.
        stream: int. Of which one of several sequences.
    """

    def __init__(self, seed: int, count: Tensor, stream: int):
        # Without `SeedGenerator`'s own, which makes a variable: Keras asks for nothing but `next`.
        self._numbers = seed, count, stream

    def next(self, ordered: bool = True) -> Tensor:
        """The seed."""
        seed, count, stream = self._numbers
        dtype = "uint32" if keras.backend.backend() == "jax" else "int64"
        return ops.stack([ops.convert_to_tensor(seed, dtype), 16 * ops.cast(count, dtype) + stream])


def even_timesteps(is_prior: Tensor, count: Tensor, steps: int) -> Tensor:
    """Timesteps that are spread evenly over each kind of picture of a batch, and over the batches.

    A kind's pictures get one each of as many equal parts of the schedule (arXiv:2107.00630, appendix I.1), by turns in
    the next batch, where they are shifted by a share of a part.

    Args:
        is_prior: bool `(batch,)`.
        count: scalar. Batches before this one.
        steps: int. Length of the schedule.

    Returns:
        int32 `(batch,)` in `[0, steps)`.
    """
    count = ops.cast(count, "float32")
    within = (count + 0.5) * GOLDEN % 1.0
    kinds = ops.cast(ops.stack([is_prior, ops.logical_not(is_prior)]), "float32")
    rank = ops.sum(kinds * (ops.cumsum(kinds, axis=1) - 1.0), axis=0)
    size = ops.sum(kinds * ops.sum(kinds, axis=1, keepdims=True), axis=0)
    places = ((rank + count) % size + within) / size
    return ops.minimum(ops.cast(places * steps, "int32"), steps - 1)


def with_measured_noise(batch: dict[str, Tensor], seed: int, count: Tensor, base: Any) -> dict[str, Tensor]:
    """A batch with timesteps and noise that follow from the number of batches before it.

    Args:
        batch: dict with `is_prior`; what it has of `timesteps`, `noise` and `posterior_noise` stays.
        seed: int.
        count: scalar. Batches before this one.
        base: `StableDiffusionBase`.

    Returns:
        dict.
    """
    is_prior = batch["is_prior"]

    def normal(stream, rows):
        return keras.random.normal((rows, *base.latent_shape), seed=CountedSeed(seed, count, stream))

    made = {
        "timesteps": lambda _: even_timesteps(whole(is_prior), count, base.schedule.steps),
        "posterior_noise": functools.partial(normal, 0),
        "noise": functools.partial(normal, 1),
    }
    return {name: of_batch(make, ops.shape(is_prior)[0]) for name, make in made.items()} | batch
