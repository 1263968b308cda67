"""Peak memory of a LoRA step of Stable Diffusion 1.x, by the side of the pictures.

    python benchmarks/memory.py --sides 256 384 512 768 --output docs/memory.png

Random weights, rank 4, float32, one photograph and one class image in a batch. Each side runs in a process of its own;
beside what it took stands what `doctor` says beforehand. In the figure the axis is the number of pixels: where memory
grows with them, and not with their square, as attention's table of scores would, the points lie on a line.
"""

import argparse
import tempfile

from full_size import measure, write_vocabulary
from train_step import __file__ as SCRIPT


def estimated(side, checkpointing):
    """GB that `doctor` says of the same run."""
    from keras_booth.bases import describe_base
    from keras_booth.workflow.memory import estimate
    from keras_booth.workflow.parsing import parse_config

    line = ["--base.preset", "stable_diffusion_1.4", "--base.image_size", str(side), "--base.weights", "null"]
    line += ["--lora.rank", "4", "--training.batch_size", "2", "--training.gradient_checkpointing", str(checkpointing)]
    subject = ["--subject.photos", "photos", "--subject.class_noun", "dog"]
    with tempfile.TemporaryDirectory() as folder:
        base_config, _ = describe_base(
            "stable_diffusion_1.4", weights=None, image_size=side, vocabulary=write_vocabulary(folder)
        )
    return estimate(parse_config([*line, *subject]), base_config).total / 1e9


def draw(rows, path):
    """Memory over pixels."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    pixels = [side**2 / 1000 for side, *_ in rows]
    axes.plot(pixels, [row[2] for row in rows], "o-", label="measured")
    axes.plot(pixels, [row[3] for row in rows], "--", label="as doctor says")
    axes.set_xticks(pixels, [f"{side} px" for side, *_ in rows])
    axes.set(xlabel="pixels", ylabel="peak memory, GB", xlim=(0, None), ylim=(0, None))
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=100)


def main():
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[256, 384, 512, 768])
    parser.add_argument("--checkpointing", action="store_true", help="with gradient checkpointing")
    parser.add_argument("--output", help="of the figure")
    flags = parser.parse_args()
    print("| pixels | seconds per step | peak memory, GB | as `doctor` says |\n|---|---|---|---|")
    rows = []
    for side in flags.sides:
        case = {"ours": {"lora": True, "checkpointing": flags.checkpointing}}
        found = measure(SCRIPT, case, "--size", side, "--steps", 1)
        rows.append((side, found["seconds"], found["gigabytes"], estimated(side, flags.checkpointing)))
        print(f"| {side} x {side} | {rows[-1][1]:.1f} | {rows[-1][2]:.1f} | {rows[-1][3]:.1f} |", flush=True)
    if flags.output:
        draw(rows, flags.output)


if __name__ == "__main__":
    main()
