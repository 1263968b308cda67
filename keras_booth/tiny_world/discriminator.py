"""A small patch discriminator, with which the decoder learns to draw crisp edges (arXiv:1611.07004, section 3.2.2)."""

import keras
from keras import ops

WIDTHS = (32, 64, 96)


class PatchDiscriminator(keras.layers.Layer):
    """Tells renders from reconstructions, patch by patch: float `(batch, H, W, 3)` -> `(batch, H / 8, W / 8, 1)`.

    One optimizer trains both: `hinge` moves the discriminator alone, `fooled` the decoder alone.

    Args:
        seed: int.
    """

    def __init__(self, seed=0, **kwargs):
        super().__init__(dtype="float32", autocast=False, **kwargs)
        widths = (3, *WIDTHS, 1)
        self.kernels = [
            self.add_weight(
                shape=(4 if index < len(WIDTHS) else 3,) * 2 + pair,
                initializer=keras.initializers.HeNormal(seed=seed + index),
                name=f"kernel_{index}",
            )
            for index, pair in enumerate(zip(widths, widths[1:], strict=False))
        ]
        self.biases = [
            self.add_weight(shape=(width,), initializer="zeros", name=f"bias_{index}")
            for index, width in enumerate(widths[1:])
        ]
        self.built = True

    def call(self, pictures, learns=True):
        x = pictures
        for index, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            kernel, bias = (value if learns else ops.stop_gradient(value) for value in (kernel, bias))
            last = index == len(WIDTHS)
            x = ops.conv(x, kernel, strides=1 if last else 2, padding="same") + bias
            x = x if last else ops.leaky_relu(x, 0.2)
        return x

    def hinge(self, truth, pictures):
        """The discriminator's own loss (arXiv:1705.02894, section 2); the decoder gets no gradient of it."""
        right, wrong = self(truth), self(ops.stop_gradient(pictures))
        return ops.mean(ops.relu(1.0 - right)) + ops.mean(ops.relu(1.0 + wrong))

    def fooled(self, pictures):
        """The decoder's loss; the discriminator gets no gradient of it."""
        return -ops.mean(self(pictures, learns=False))
