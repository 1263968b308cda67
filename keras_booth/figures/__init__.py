"""Sheets of pictures, and curves."""

from keras_booth.figures.curves import loss_curves as loss_curves
from keras_booth.figures.sheets import image_grid as image_grid
from keras_booth.figures.sheets import image_matrix as image_matrix
from keras_booth.figures.sheets import rows_of as rows_of
