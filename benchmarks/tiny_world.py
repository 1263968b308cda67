"""Seconds per training step and pictures per second of `tiny_world` on this machine.

python benchmarks/tiny_world.py --batch-size 8 --steps 20
"""

import argparse
import json
import time

import keras
import numpy as np

import keras_booth
from keras_booth.tools.process.machine import keep_freed_memory


def seconds(function, repeats):
    """Median time of `function` after one warm-up call, which compiles."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def main():
    """Measure and print as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=20, help="repeats of the training step")
    parser.add_argument("--jit", action="store_true", help="the training step through XLA, whatever the default is")
    flags = parser.parse_args()
    keep_freed_memory()
    booth = keras_booth.DreamBooth.from_preset("tiny_world", weights=None, train_text_encoder=True)
    booth.compile(keras.optimizers.AdamW(1e-4, global_clipnorm=1.0), jit_compile=flags.jit or None)
    rng = np.random.default_rng(0)
    batch = {
        "images": rng.uniform(-1, 1, (flags.batch_size, *booth.image_size, 3)).astype("float32"),
        "tokens": booth.tokenize([booth.instance_prompt] * flags.batch_size),
        "is_prior": np.arange(flags.batch_size) % 2 == 1,
    }
    step = seconds(lambda: booth.train_on_batch(batch), flags.steps)
    draw = seconds(lambda: booth.generate(booth.class_prompt, count=flags.batch_size, batch_size=flags.batch_size), 3)
    result = {
        "backend": keras.backend.backend(),
        "jit": bool(booth.jit_compile),
        "batch_size": flags.batch_size,
        "seconds_per_step": round(step, 4),
        "pictures_per_second": round(flags.batch_size / draw, 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
