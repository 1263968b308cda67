"""Encoders that can be reckoned by hand: of colors."""

import numpy as np

from keras_booth.evaluation.encoders.image_encoder import unit_length
from keras_booth.evaluation.metrics import metrics_of


def plain(red, green, blue):
    """A picture of one color."""
    return np.full((8, 8, 3), (red, green, blue), "uint8")


RED, GREEN, BLUE = plain(200, 0, 0), plain(0, 200, 0), plain(0, 0, 200)
MIXED = plain(100, 100, 0)


def colors(pictures):
    """Encodes pictures by their mean color."""
    return unit_length(np.stack([np.asarray(picture, "float64").mean((0, 1)) for picture in pictures]), "colors")


def words(texts):
    """Encodes texts by the colors that they name."""
    return unit_length(
        np.array([[float(color in text) for color in ("red", "green", "blue")] for text in texts]), "words"
    )


class Distance:
    """Half of the mean difference, in [0, 1]."""

    def pairwise(self, pictures):
        values = np.stack(pictures).astype("float64")
        return np.abs(values[:, None] - values).mean((2, 3, 4)) / 255


def color_metrics():
    """The five metrics with them."""
    return metrics_of(lambda: colors, lambda: (colors, words), Distance)
