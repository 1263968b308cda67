"""Ours beside diffusers on one GPU: Stable Diffusion 1.x at 512 pixels in bfloat16.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --small --size 64 --steps 2

The first line is for a machine with a GPU. The second tries the same code with few channels, on any machine; its
figures mean nothing. Ours runs on JAX, and on TensorFlow where that sees the GPU; theirs, where diffusers is installed,
is its loop (`train_step.py`) and pipeline (`sampling.py`), whose attention is PyTorch's fused one, as it is and with
`torch.compile`. Random weights, AdamW; LoRA of rank 4; drawing with DDIM and guidance, from the prompt on: that is also
how class images are made. Each case runs in a process of its own. The ratio is of the best of ours to the better of
theirs: above 1 ours is faster.
"""

import argparse
import importlib.util
import json
import pathlib
import subprocess
import sys

import sampling
import train_step
from full_size import measure, peak

BACKENDS = ("jax", "tensorflow")


def cases(wanted, batches, steps, drawing_steps):
    """`(name, unit, per call, our case, their case)` of each row; a case is `[module, arguments]`."""
    for what in wanted:
        for batch in (1, batches[-1]) if what == "drawing" else batches:
            if what == "drawing":
                case = ["sampling", {"steps": drawing_steps, "dtype": "bfloat16", "batch": batch}]
                yield f"drawing, batch {batch}", "pictures a minute", 60 * batch, case, case
                continue
            lora = what == "lora"
            mine = {"steps": steps, "lora": lora, "dtype": "bfloat16" if lora else "mixed_bfloat16", "batch": batch}
            other = {"what": what, "precision": "bfloat16", "steps": steps, "batch": batch}
            yield f"{what}, batch {batch}", "steps a second", 1, ["train_step", mine], ["train_step", other]


def run(case, size, small):
    """One case, in this process."""
    who, (module, arguments), compiled = case
    modules = {"train_step": train_step, "sampling": sampling}
    options = {"compiled": compiled} if who == "theirs" else {}
    found = getattr(modules[module], who)(size=size, small=small, **arguments, **options)
    seconds = found[0] if module == "train_step" else found
    print(json.dumps({"seconds": seconds, "gigabytes": peak()}))


def card():
    """The name of the GPU; `None` without one."""
    line = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        return subprocess.run(line, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return None


def sees_gpu(backend):
    """Whether a backend is installed and has the GPU."""
    ask = {
        "jax": "import jax; print(jax.default_backend() != 'cpu')",
        "tensorflow": "import tensorflow as tf; print(bool(tf.config.list_physical_devices('GPU')))",
    }
    done = subprocess.run([sys.executable, "-c", ask[backend]], capture_output=True, text=True)
    return done.stdout.split()[-1:] == ["True"]


def main():
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="side of the pictures in pixels")
    parser.add_argument("--steps", type=int, default=20, help="training steps of which the median is taken")
    parser.add_argument("--drawing-steps", type=int, default=25)
    parser.add_argument("--what", nargs="+", choices=("full", "lora", "drawing"), default=["full", "lora", "drawing"])
    parser.add_argument("--batches", type=int, nargs="+", default=[2, 8])
    parser.add_argument("--small", action="store_true", help="few channels, also without a GPU")
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.case:
        return run(flags.case, flags.size, flags.small)
    name = card()
    if name is None and not flags.small:
        parser.error("no GPU was found (nvidia-smi): --small tries the code without one")
    # On a CPU the one that needs less time to compile.
    backends = [backend for backend in BACKENDS if sees_gpu(backend)] or [BACKENDS[1]]
    print(f"{name or 'no GPU'}, {flags.size} x {flags.size} pixels{', few channels' if flags.small else ''}\n")
    peers = [False, True] if importlib.util.find_spec("diffusers") else []
    head = ["what", "unit", *(f"ours, {backend}" for backend in backends)]
    head += ["diffusers", "compiled", "ratio", "ours, GB", "theirs, GB"] if peers else ["ours, GB"]
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    shape = ["--size", flags.size, *(["--small"] if flags.small else [])]
    for what, unit, amount, mine, other in cases(flags.what, flags.batches, flags.steps, flags.drawing_steps):
        ours = [measure(__file__, ["ours", mine, False], *shape, KERAS_BACKEND=backend) for backend in backends]
        theirs = [measure(__file__, ["theirs", other, compiled], *shape) for compiled in peers]
        rates = [amount / found["seconds"] for found in (*ours, *theirs)]
        ratio = [max(rates[: len(ours)]) / max(rates[len(ours) :])] if theirs else []
        memory = [min(found["gigabytes"] for found in side) for side in (ours, theirs) if side]
        cells = [what, unit, *(f"{value:.2f}" for value in (*rates, *ratio, *memory))]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    main()
