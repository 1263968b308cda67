"""The objective of DreamBooth."""

from keras import ops

from keras_booth.tools.annotations import Tensor
from keras_booth.tools.process.replicas import total


def squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of each sample, in float32.

    Args:
        prediction, target: float arrays `(batch, …)`.

    Returns:
        float32 array `(batch,)`.
    """
    error = ops.cast(prediction, "float32") - ops.cast(target, "float32")
    return ops.mean(ops.square(error), axis=tuple(range(1, len(error.shape))))


def balance(is_prior: Tensor) -> Tensor:
    """Weights with which a batch mean becomes the sum of the two means, over instance and over class samples.

    Args:
        is_prior: bool array `(batch,)`.

    Returns:
        float32 array `(batch,)`: batch size / number of samples of the same kind.
    """
    prior = ops.cast(is_prior, "float32")
    size, count = total([ops.cast(ops.shape(prior)[0], "float32"), ops.sum(prior)])
    return ops.where(is_prior, size / ops.maximum(count, 1.0), size / ops.maximum(size - count, 1.0))


def prior_preservation_loss(losses: Tensor, is_prior: Tensor, sample_weight: Tensor) -> tuple[Tensor, Tensor]:
    """The two terms of the paper's objective (arXiv:2208.12242, equation 2).

    The prior mask is per sample, so batches may be shuffled, sharded or accumulated: the objective of a batch is the
    mean of the objectives of its samples.

    Args:
        losses: float32 array `(batch,)`, the error of each sample.
        is_prior: bool array `(batch,)`, true for class images.
        sample_weight: float32 array `(batch,)`; see `balance`.

    Returns:
        `(instance_loss, prior_loss)`: scalars. The objective is `instance_loss + prior_loss_weight * prior_loss`.
    """
    prior = ops.cast(is_prior, "float32")
    weighted = losses * sample_weight
    return ops.mean(weighted * (1.0 - prior)), ops.mean(weighted * prior)
