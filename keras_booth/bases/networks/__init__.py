"""Layers and models of Stable Diffusion, on KerasCV's blocks: the only room that imports `keras_cv`."""
