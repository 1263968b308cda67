"""What KerasCV's own models need to be compared with."""

import keras


def copy_weights(source, target):
    for mine, theirs in zip(target.weights, source.weights, strict=True):
        mine.assign(theirs)


def train_epsilon(model):
    """Give KerasCV's autoencoder the group-norm epsilon that Stable Diffusion's was trained with."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.GroupNormalization):
            layer.epsilon = 1e-6
