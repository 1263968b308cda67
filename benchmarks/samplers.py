"""How many steps each sampler needs on `tiny_world`: which one is the default, and why.

    python benchmarks/samplers.py --count 64

For each sampler and number of steps: the root mean square distance, in levels of 0 to 255, to the pictures that the
same noise leads to in 200 steps (an ancestral sampler leads elsewhere each time, so it has none), and what the judge
reads.
"""

import argparse

import numpy as np

import keras_booth
from keras_booth.diffusion import Sampling
from keras_booth.evaluation import agreement, base_prompts, load_judge
from keras_booth.tools.process.machine import keep_freed_memory

CHOICES = {
    "ddim": {"sampler": "ddim"},
    "euler": {"sampler": "euler"},
    "euler, Karras": {"sampler": "euler", "karras": True},
    "euler_ancestral": {"sampler": "euler_ancestral"},
    "dpmpp_2m, spacing's levels": {"sampler": "dpmpp_2m", "karras": False},
    "dpmpp_2m": {"sampler": "dpmpp_2m"},
    "dpmpp_2m, rho 3": {"sampler": "dpmpp_2m", "rho": 3.0},
}


def main():
    """Draw, measure, print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=64, help="pictures, each with a prompt of its own")
    parser.add_argument("--seed", type=int, default=0, help="of prompts and noise")
    parser.add_argument("--samplers", nargs="+", choices=CHOICES, default=list(CHOICES))
    parser.add_argument("--steps", type=int, nargs="+", default=[6, 8, 10, 15, 25, 50])
    flags = parser.parse_args()
    keep_freed_memory()
    booth, judge = keras_booth.DreamBooth.from_preset("tiny_world"), load_judge()
    prompts, wanted = base_prompts(flags.count, flags.seed)
    truth = booth.generate(prompts, sampler=Sampling("dpmpp_2m", 200), seed=flags.seed, batch_size=16).astype("float32")
    named = [name for name, values in wanted.items() if any(value is not None for value in values)]
    print(f"| sampler | steps | distance | {' | '.join(named)} |")
    print("|---|---|---|" + "---|" * len(named))
    for name in flags.samplers:
        for steps in flags.steps:
            pictures = booth.generate(
                prompts, sampler=Sampling(steps=steps, **CHOICES[name]), seed=flags.seed, batch_size=16
            )
            distance = float(np.sqrt(np.square(pictures - truth).mean()))
            read = agreement(judge, pictures, wanted)
            shown = "" if name == "euler_ancestral" else f"{distance:.1f}"
            cells = [name, steps, shown, *(f"{100 * read[name]:.0f} %" for name in named)]
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)


if __name__ == "__main__":
    main()
