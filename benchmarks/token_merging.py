"""What token merging (`StableDiffusionBase.merge_tokens`) saves, and what it changes.

    python benchmarks/token_merging.py --size 512 --repeats 5

The first table is the UNet of Stable Diffusion 1.x at full size with random weights, at a batch of two, as guidance
makes of one picture. The second is `tiny_world` with its own weights: seconds to draw eight pictures, and how far they
are from those without merging. In both, the settings take turns, and the median is taken.
"""

import argparse
import time

import keras
import numpy as np
from full_size import our_booth

import keras_booth
from keras_booth.tools.process.machine import keep_freed_memory

PROMPTS = ["a photo of a dog", "a photo of a cat in the snow"]


def in_turns(functions, repeats):
    """Median seconds of each function, after a first round, in which each compiles.

    Args:
        functions: dict of callables. What each of them needs to be in force it sets itself.
        repeats: int. Rounds that count.
    """
    times = {name: [] for name in functions}
    for _ in range(repeats + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    return {name: float(np.median(values[1:])) for name, values in times.items()}


def denoising(size, ratios, levels, repeats):
    """Median seconds of a call of the full-size UNet by ratio."""
    booth = our_booth(size)
    base, rng = booth.base, np.random.default_rng(0)
    inputs = [
        rng.standard_normal((2, *base.latent_shape)).astype("float32"),
        np.full(2, 500, "int32"),
        rng.standard_normal((2, base.config.text_encoder.max_length, base.config.unet.context_width)).astype("float32"),
    ]

    def call(ratio):
        # The same layers under a model of their own, which keeps what was compiled with this ratio.
        model = keras.Model(base.unet.inputs, base.unet.outputs)
        model.jit_compile = keras_booth.bases.prefers_jit()

        def run():
            base.merge_tokens(ratio, levels)
            model.predict_on_batch(inputs)

        return run

    return in_turns({ratio: call(ratio) for ratio in ratios}, repeats)


def drawing(ratios, levels, repeats):
    """Median seconds of eight pictures of `tiny_world` by ratio, and their mean absolute difference in levels of 255
    from those of the first ratio."""
    booth = keras_booth.DreamBooth.from_preset("tiny_world")
    pictures = {}

    def draw(ratio):
        booth.base.merge_tokens(ratio, levels)
        pictures[ratio] = booth.generate(PROMPTS, count=8 // len(PROMPTS), seed=0).astype("float64")

    seconds = in_turns({ratio: lambda ratio=ratio: draw(ratio) for ratio in ratios}, repeats)
    return seconds, {ratio: np.abs(pictures[ratio] - pictures[ratios[0]]).mean() for ratio in ratios}


def main():
    """Measure and print as tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="side of the full-size pictures in pixels")
    parser.add_argument("--ratios", type=float, nargs="+", default=[0.25, 0.5], help="each in [0, 0.75), beside 0")
    parser.add_argument("--levels", type=int, default=1, help="levels of the UNet, as in `merge_tokens`")
    parser.add_argument("--repeats", type=int, default=5, help="calls of which the median is taken")
    parser.add_argument("--tiny", action="store_true", help="tiny_world alone")
    flags = parser.parse_args()
    keep_freed_memory()
    ratios = [0.0, *flags.ratios]
    if not flags.tiny:
        seconds = denoising(flags.size, ratios, flags.levels, flags.repeats)
        print(f"| merged, Stable Diffusion 1.x at {flags.size} | seconds per UNet call | ratio to no merging |")
        print("|---|---|---|")
        for ratio in ratios:
            print(f"| {ratio:g} | {seconds[ratio]:.2f} | {seconds[ratio] / seconds[0.0]:.2f} |", flush=True)
        print()
    seconds, differences = drawing(ratios, flags.levels, flags.repeats)
    print("| merged, tiny_world | seconds for 8 pictures | mean absolute difference, levels of 255 |")
    print("|---|---|---|")
    for ratio in ratios:
        print(f"| {ratio:g} | {seconds[ratio]:.2f} | {differences[ratio]:.2f} |")


if __name__ == "__main__":
    main()
