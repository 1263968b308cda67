"""Convolutions of 3 x 3 with a fourth of the multiplications: Winograd's F(4 x 4, 3 x 3), on TensorFlow on a CPU.

Lavin and Gray, arXiv:1509.09308, section 4.3: tiles of 6 x 6 pixels and the kernel are brought into a form in which a
convolution is 36 products, one for each place of the tile; what they give is brought back to 4 x 4 pixels. The matrices
are those of the points 0, 1, -1, 2, -2 and infinity. XLA compiles what happens before and after the products, each a
pass over memory; on two cores the whole takes 0.45 to 0.75 of the time of oneDNN's convolution, which computes all
products at the machine's peak. Of 320 to 1280 channels, rounding errors are 4 to 6 millionths of the values' spread
(root mean square) instead of one.
"""

import numpy as np

from keras_booth.tools.annotations import Tensor
from keras_booth.tools.process.passes import one_pass

STEP, TILE = 4, 6  # pixels that a tile gives, and takes, in each direction
OF_KERNEL = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], "float32") / 24
SQUARED = np.kron(OF_KERNEL, OF_KERNEL)  # for both directions, `(36, 9)`
# Below, what is saved is lost again before and after the products.
FEWEST_CHANNELS, FEWEST_PIXELS = 256, 16
# Bytes of all tiles of one picture's feature map, few enough to stay in the cache; of a larger one in strips of rows.
MOST_TILES = 8 * 2**20
# Of what comes out for one picture: from there on the strips' copies cost more memory than the time is worth.
MOST_OUTPUT = 256 * 2**20


def pays(inputs: Tensor, kernel: Tensor, strides: tuple[int, int], padding: str) -> bool:
    """Whether a convolution is one of those, and large enough."""
    height, width, channels = inputs.shape[1:]
    return (
        tuple(kernel.shape[:2]) == (3, 3)
        and tuple(strides) == (1, 1)
        and padding == "same"
        and min(channels, kernel.shape[-1]) >= FEWEST_CHANNELS
        and None not in (height, width)
        and min(height, width) >= FEWEST_PIXELS
        and 4 * height * width * kernel.shape[-1] < MOST_OUTPUT
        and inputs.dtype == "float32"
    )


def convolve(inputs: Tensor, kernel: Tensor) -> Tensor:
    """A convolution with "same" padding and stride 1.

    Args:
        inputs: float32 `(batch, H, W, channels)`.
        kernel: float32 `(3, 3, channels, filters)`.

    Returns:
        float32 `(batch, H, W, filters)`.
    """
    import tensorflow as tf

    height, width, channels = inputs.shape[1:]
    filters = kernel.shape[-1]

    @tf.custom_gradient
    def convolution(inputs, kernel):
        def gradient(upstream):
            # Left out by TensorFlow where the kernel is frozen.
            places = tf.matmul(
                _tiles(width, channels, _rows(inputs, height)),
                _spread(width, filters, upstream),
                transpose_a=True,
            )
            to_kernel = tf.matmul(SQUARED.T, tf.reshape(places, (TILE**2, -1)))
            return _forward(upstream, kernel, turned=True), tf.reshape(to_kernel, (3, 3, channels, filters))

        return _forward(inputs, kernel), gradient

    return convolution(inputs, tf.convert_to_tensor(kernel))


def _forward(inputs, kernel, turned=False):
    """The convolution, or with the kernel `turned`, as for its gradient; all rows at once, or strip by strip."""
    import tensorflow as tf

    _, height, width, channels = inputs.shape
    filters = kernel.shape[2 if turned else 3]
    # Not before it is needed: the executor would make those of all layers first, four times the size of their kernels.
    with tf.control_dependencies([inputs]):
        # A kernel turned by half is its nine places in the other order.
        flat = tf.matmul(SQUARED[:, ::-1] if turned else SQUARED, tf.reshape(kernel, (9, -1)))
    kernel = tf.reshape(flat, (TILE**2, *kernel.shape[2:]))

    def rows(x, count):
        products = tf.matmul(_tiles(width, channels, x), kernel, transpose_b=turned)
        return _pixels(width, filters, count, products)

    size = 4 * TILE**2 * _tiles_of(height) * _tiles_of(width) * max(channels, filters)
    strip = STEP * -(-_tiles_of(height) // -(-size // MOST_TILES))
    found = []
    for top in range(0, height, strip):
        # One after the other, for the sake of memory.
        with tf.control_dependencies(found[-1:]):
            seen = inputs[:, max(top - 1, 0) : top + strip + 1]
        found.append(rows(_rows(seen, min(strip, height - top), above=int(top == 0)), min(strip, height - top)))
    return tf.concat(found, axis=1) if len(found) > 1 else found[0]


def _tiles_of(side):
    return -(-side // STEP)


def _rows(x, count, above=1):
    """Rows of zeros around, so that whole tiles give `count` rows or more."""
    import tensorflow as tf

    below = STEP * _tiles_of(count) + 2 - above - x.shape[1]
    return tf.pad(x, ((0, 0), (above, below), (0, 0), (0, 0)))


def _to_tile(a, b, c, d, e, f):
    x, y, z = e - 4 * c, d - 4 * b, 2 * (d - b)
    return 4 * a - 5 * c + e, x + y, x - y, (e - c) + z, (e - c) - z, 4 * b - 5 * d + f


def _to_pixels(a, b, c, d, e, f):
    even, odd, wide, far = b + c, b - c, d + e, d - e
    return a + even + wide, odd + 2 * far, even + 4 * wide, odd + 8 * far + f


def _from_pixels(a, b, c, d):
    """The transpose of `_to_pixels`."""
    even, odd, wide, far = a + c, b + d, a + 4 * c, 2 * b + 8 * d
    return a, even + odd, even - odd, wide + far, wide - far, d


# Each in two passes, first down and then across: XLA unrolls a pass over all 36 places into so much code that it takes
# a second and 15 MB for each shape, and is no faster.


def _tiles(width, channels, x):
    """Pixels with a row around -> tiles: `(batch, 4 h + 2, width, channels)` -> `(36, batch h w, channels)`."""
    return one_pass(_tiles_across, (width, channels), one_pass(_tiles_down, (), x))


def _tiles_down(x):
    """`(batch, 4 h + 2, width, channels)` -> `(6, batch, h, width, channels)`."""
    return _stacked(_to_tile, _starts(x, 1))


def _tiles_across(width, channels, x):
    """`(6, batch, h, width, channels)` -> `(36, batch h w, channels)`."""
    import tensorflow as tf

    fill = 1 + STEP * _tiles_of(width) - width
    x = tf.pad(x, ((0, 0), (0, 0), (0, 0), (1, fill), (0, 0)))
    return tf.reshape(_stacked(_to_tile, _starts(x, 3), axis=1), (TILE**2, -1, channels))


def _starts(x, axis):
    """The first pixels of all tiles along an axis, their second ones, and so on."""
    end = x.shape[axis] - TILE + 1
    before = (slice(None),) * axis
    return [x[(*before, slice(i, i + end, STEP))] for i in range(TILE)]


def _pixels(width, channels, height, products):
    """What the products give -> pixels: `(36, batch h w, channels)` -> `(batch, height, width, channels)`."""
    down = one_pass(_pixels_down, (_tiles_of(height), _tiles_of(width), channels), products)
    return one_pass(_pixels_across, (height, width, channels), down)


def _pixels_down(down, across, channels, products):
    """`(36, batch h w, channels)` -> `(batch, h, 4, 6, w, channels)`."""
    import tensorflow as tf

    products = tf.reshape(products, (TILE, TILE, -1, down, across, channels))
    return tf.transpose(_stacked(_to_pixels, tf.unstack(products)), (2, 3, 0, 1, 4, 5))


def _pixels_across(height, width, channels, x):
    """`(batch, h, 4, 6, w, channels)` -> `(batch, height, width, channels)`."""
    import tensorflow as tf

    x = _stacked(_to_pixels, [x[:, :, :, j] for j in range(TILE)], axis=4)
    x = tf.reshape(x, (-1, x.shape[1] * STEP, STEP * _tiles_of(width), channels))
    return x[:, :height, :width]


def _spread(width, channels, x):
    """The transpose of `_pixels`: `(batch, height, width, channels)` -> `(36, batch h w, channels)`."""
    return one_pass(_spread_across, (width, channels), one_pass(_spread_down, (), x))


def _spread_down(x):
    """`(batch, height, width, channels)` -> `(6, batch, h, width, channels)`."""
    import tensorflow as tf

    height = x.shape[1]
    x = tf.pad(x, ((0, 0), (0, STEP * _tiles_of(height) - height), (0, 0), (0, 0)))
    return _stacked(_from_pixels, [x[:, i::STEP] for i in range(STEP)])


def _spread_across(width, channels, x):
    """`(6, batch, h, width, channels)` -> `(36, batch h w, channels)`."""
    import tensorflow as tf

    x = tf.pad(x, ((0, 0), (0, 0), (0, 0), (0, STEP * _tiles_of(width) - width), (0, 0)))
    parts = [x[:, :, :, j::STEP] for j in range(STEP)]
    return tf.reshape(_stacked(_from_pixels, parts, axis=1), (TILE**2, -1, channels))


def _stacked(half, parts, axis=0):
    """One of the transforms above, along one direction."""
    import tensorflow as tf

    return tf.stack(half(*parts), axis=axis)
