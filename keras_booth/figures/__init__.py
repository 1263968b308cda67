"""Sheets of pictures, curves, and pages."""

from keras_booth.figures.curves import loss_curves, score_curves
from keras_booth.figures.pages import Section, html_page, picture, sheet
from keras_booth.figures.sheets import image_grid, image_matrix, rows_of

__all__ = [
    "Section",
    "html_page",
    "image_grid",
    "image_matrix",
    "loss_curves",
    "picture",
    "rows_of",
    "score_curves",
    "sheet",
]
