"""What a reconstruction is measured by in training: pixels, of which those of small parts weigh more, and edges."""

from keras import ops

SQUARED_WEIGHT = 2.0
EDGE_WEIGHT = 0.5
DETAIL_WEIGHT = 3.0
NEIGHBORHOOD = 9  # pixels along one side; an eye at 128 pixels is half of that


def reconstruction_loss(pictures, truth):
    """Absolute error, weighted by `detail_weights`, plus squared error, plus the error of edges.

    Args:
        pictures, truth: float `(batch, H, W, 3)` in `[-1, 1]`.
    """
    error = pictures - truth
    absolute = ops.mean(detail_weights(truth) * ops.abs(error))
    return absolute + SQUARED_WEIGHT * ops.mean(ops.square(error)) + EDGE_WEIGHT * edge_error(error)


def detail_weights(pictures):
    """The weight of each pixel: eyes, noses and spots are few pixels, and would weigh nothing in a mean over all.

    Small parts, and edges, are where a picture differs from its blurred self.

    Returns:
        float `(batch, H, W, 1)`, of mean 1 over the batch: 1 everywhere in flat pictures.
    """
    detail = ops.mean(ops.abs(pictures - blur(pictures)), axis=-1, keepdims=True)
    weights = 1.0 + DETAIL_WEIGHT * ops.minimum(detail / 0.5, 1.0)
    return weights / ops.mean(weights)


def blur(pictures, size=NEIGHBORHOOD):
    """The mean of each pixel's neighborhood; at the borders of what lies inside."""
    return ops.average_pool(pictures, size, strides=1, padding="same")


def edge_error(error):
    """Mean absolute difference of neighboring pixels of an error, at full and at half resolution.

    It is the error of the gradients: a blurred edge costs more than a slightly wrong color.
    """
    halved = ops.average_pool(error, 2, strides=2)
    return 0.5 * (_differences(error) + _differences(halved))


def _differences(x):
    down, right = x[:, 1:] - x[:, :-1], x[:, :, 1:] - x[:, :, :-1]
    return ops.mean(ops.abs(down)) + ops.mean(ops.abs(right))


def decibels(pictures, truth):
    """Peak signal-to-noise ratio of each picture, for the range [-1, 1]: float `(batch,)`."""
    squared = ops.mean(ops.square(ops.clip(pictures, -1.0, 1.0) - truth), axis=(1, 2, 3))
    return 10.0 * ops.log10(4.0 / ops.maximum(squared, 1e-10))
