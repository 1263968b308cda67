"""Sheets of pictures, and curves."""

from keras_booth.figures.curves import loss_curves, score_curves
from keras_booth.figures.sheets import image_grid, image_matrix, rows_of

__all__ = [
    "image_grid",
    "image_matrix",
    "loss_curves",
    "score_curves",
    "rows_of",
]
