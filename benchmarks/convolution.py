"""Convolutions of Stable Diffusion 1.x: the backend's own beside one matrix product, or beside Winograd's form.

    python benchmarks/convolution.py --batch 4
    python benchmarks/convolution.py --batch 2 --dtypes float32 --large

On small feature maps it is a product: which is faster decides `FILTERS_PER_PIXEL` in
`keras_booth.bases.networks.corrections`. On large ones it is Winograd's form (float32, TensorFlow): that decides
`FEWEST_CHANNELS` and `FEWEST_PIXELS` in `keras_booth.bases.networks.winograd`. Each of four kernels in turn, so that
none waits in the processor's cache; medians of 15 calls, compiled as `generate` compiles.
"""

import argparse
import statistics
import time

import numpy as np
from full_size import as_a_command

# (side of the feature map, channels, filters)
SHAPES = (
    (16, 320, 320),
    (8, 640, 640),
    (8, 640, 1280),
    (8, 1280, 1280),
    (4, 640, 1280),
    (4, 1280, 1280),
    (2, 1280, 1280),
    (4, 256, 256),
)
LARGE = (
    (64, 320, 320),
    (64, 960, 320),
    (32, 640, 640),
    (16, 640, 1280),
    (16, 1280, 1280),
    (128, 512, 512),
    (256, 256, 256),
    (256, 128, 128),
)
KERNELS = 4


def milliseconds(function, kernels, inputs):
    """Median milliseconds of one convolution."""
    import keras

    from keras_booth.bases.pipeline import Compiled

    # Sums make one output that needs all of them.
    model = Compiled(lambda arrays: sum(function(arrays["x"] + i, kernel) for i, kernel in enumerate(kernels)), [])
    seconds = []
    for _ in range(17):
        start = time.perf_counter()
        keras.ops.convert_to_numpy(model.predict_on_batch({"x": inputs}))
        seconds.append(time.perf_counter() - start)
    return 1e3 * statistics.median(seconds[2:]) / len(kernels)


def main():
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=4, help="feature maps at once")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--large", action="store_true", help="large feature maps, and Winograd's form")
    flags = parser.parse_args()
    as_a_command()
    import keras

    from keras_booth.bases.networks.corrections import convolve_by_product
    from keras_booth.bases.networks.winograd import convolve

    def convolution(x, kernel):
        return keras.ops.conv(keras.ops.cast(x, kernel.dtype), kernel, padding="same")

    def product(x, kernel):
        return convolve_by_product(keras.ops.cast(x, kernel.dtype), kernel, padding="same")

    name, method, shapes = ("Winograd", convolve, LARGE) if flags.large else ("product", product, SHAPES)
    print(
        f"| precision | feature map | channels | filters | convolution, ms | {name}, ms | ratio | filters per pixel |"
    )
    print("|---|---|---|---|---|---|---|---|")
    rng = np.random.default_rng(0)
    for dtype in flags.dtypes:
        for side, channels, filters in shapes:
            values = rng.standard_normal((KERNELS, 3, 3, channels, filters)).astype("float32")
            kernels = [keras.Variable(value, dtype=dtype) for value in values]
            inputs = rng.standard_normal((flags.batch, side, side, channels)).astype("float32")
            one, other = (milliseconds(function, kernels, inputs) for function in (convolution, method))
            cells = [dtype, f"{side} x {side}", channels, filters, f"{one:.2f}", f"{other:.2f}", f"{one / other:.2f}"]
            print("| " + " | ".join(map(str, [*cells, f"{filters / side**2:.0f}"])) + " |", flush=True)


if __name__ == "__main__":
    main()
