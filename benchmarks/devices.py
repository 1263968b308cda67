"""What one training step holds on each of several devices, and what it sends between them.

    python benchmarks/devices.py --devices 2

Read from the program that JAX compiles for devices that it simulates on this CPU: nothing is trained, and no time is
measured. `tiny_world`, all weights trained by AdamW in float32, or LoRA.
"""

import argparse
import math
import os
import re

WIDTHS = {"f32": 4, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "pred": 1, "s8": 1, "u8": 1, "f64": 8, "s64": 8}
# "%x = (f32[8,4]{1,0}, f32[3]{0}) all-reduce(…)"; one that is asynchronous has a part that starts it.
COLLECTIVE = re.compile(r"= (.+?) (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(?:-start)?\(")
TENSOR = re.compile(r"(\w+)\[([\d,]*)\]")


def compiled_step(booth, batch_size):
    """The program of a training step of a compiled `DreamBooth`, on the devices that it was made for."""
    import jax
    import numpy as np

    from keras_booth.tools.process.replicas import shared

    rng = np.random.default_rng(0)
    batch = {
        "images": rng.uniform(-1, 1, (batch_size, *booth.image_size, 3)).astype("float32"),
        "tokens": booth.tokenize([booth.instance_prompt] * batch_size),
        "is_prior": np.arange(batch_size) % 2 == 0,
        "sample_weight": np.ones(batch_size, "float32"),
    }
    names = ("trainable_variables", "non_trainable_variables", "optimizer_variables", "metrics_variables")
    state = booth._get_jax_state(**dict.fromkeys(names, True))
    shardings = jax.tree.map(lambda array: array.sharding, state)
    step = jax.jit(booth.train_step, donate_argnums=0, out_shardings=(None, tuple(shardings)))
    return step.lower(tuple(state), (shared(booth, batch), None, None)).compile()


def peak(program):
    """Bytes that one device needs for a step: what it keeps, what it computes with, what is new of the results."""
    size = program.memory_analysis()
    kept = size.argument_size_in_bytes + size.output_size_in_bytes - size.alias_size_in_bytes
    return kept + size.temp_size_in_bytes


def sent(program):
    """dict of the bytes that each device's collectives result in, by their kind."""
    found = {}
    for results, kind in COLLECTIVE.findall(program.as_text()):
        for name, sides in TENSOR.findall(results):
            numbers = math.prod(int(side) for side in sides.split(",") if side)
            found[kind] = found.get(kind, 0) + WIDTHS[name] * numbers
    return found


def measured(devices, sharding, rank, batch_size):
    """`(program, bytes of the trained weights)`."""
    import keras_booth
    from keras_booth.dreambooth import LoraConfig

    with keras_booth.on_devices(devices, sharding):
        lora = LoraConfig(rank) if rank else None
        options = {"identifier": "sks", "class_noun": "dog", "train_text_encoder": True, "lora": lora}
        booth = keras_booth.DreamBooth.from_preset("tiny_world", weights=None, **options)
        booth.compile("adamw")
        trained = sum(4 * math.prod(variable.shape) for variable in booth.trainable_variables)
        return compiled_step(booth, batch_size), trained


def main():
    """Compile, read, print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--ranks", type=int, nargs="+", default=[0, 4], help="of the LoRA; 0 for all weights")
    flags = parser.parse_args()
    os.environ["KERAS_BACKEND"] = "jax"
    # The sizes do not depend on how well the code is made.
    options = f"--xla_force_host_platform_device_count={flags.devices} --xla_backend_optimization_level=0"
    os.environ["XLA_FLAGS"] = options
    print("| trained | devices | sharding | weights trained, MB | peak of a device, MB | sent, MB |")
    print("|---|---|---|---|---|---|")
    for rank in flags.ranks:
        for devices, sharding in ((1, "data"), (flags.devices, "data"), (flags.devices, "model")):
            program, trained = measured(devices, sharding, rank, flags.batch_size)
            moved = ", ".join(f"{kind} {size / 1e6:.1f}" for kind, size in sorted(sent(program).items()))
            sizes = f"{trained / 1e6:.1f}", f"{peak(program) / 1e6:.0f}"
            cells = [f"LoRA, rank {rank}" if rank else "all", devices, sharding, *sizes, moved]
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)


if __name__ == "__main__":
    main()
