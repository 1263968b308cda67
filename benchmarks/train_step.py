"""Seconds per step and peak memory of DreamBooth on Stable Diffusion at full size, beside diffusers'.

    python benchmarks/train_step.py --size 128 --steps 5
    python benchmarks/train_step.py --size 512 --steps 3 --trained lora --precisions float32
    python benchmarks/train_step.py --options
    python benchmarks/train_step.py --family xl --size 256 --trained lora --precisions bfloat16 --checkpointing

Theirs is the loop of diffusers' `train_dreambooth.py` (or `train_dreambooth_lora.py`), written with diffusers' own
parts: it encodes images and text in every step. For XL it is that of `train_dreambooth_lora_sdxl.py`, which encodes the
prompts once, and then lets go of the text encoders; its autoencoder stays float32. Ours is `fit` on `photo_dataset`
with `cache_latents`, as `python -m keras_booth.train` does it. Both: random weights, one photograph and one class image
in a batch, AdamW, gradients clipped by their global norm. Each case runs in a process of its own, ours and theirs by
turns. With `--options` ours alone is measured, with one option after the other.
"""

import argparse
import functools
import itertools
import json
import tempfile
import time
from pathlib import Path

from full_size import PRESETS, as_a_command, measure, our_booth, peak, their_device, their_parts

RANK = 4
OPTIONS = {
    "everything as above": {},
    "encoders in every step": {"cached": False},
    "gradient checkpointing": {"checkpointing": True},
    "Adafactor": {"optimizer": "adafactor"},
    "LoRA": {"lora": True},
    "LoRA, gradient checkpointing": {"lora": True, "checkpointing": True},
    "LoRA, mixed_bfloat16": {"lora": True, "dtype": "mixed_bfloat16"},
    "LoRA, bfloat16": {"lora": True, "dtype": "bfloat16"},
}


def ours(
    size,
    steps,
    lora=False,
    dtype="float32",
    cached=True,
    checkpointing=False,
    optimizer="adamw",
    batch=2,
    small=False,
    family="1.x",
):
    """Seconds of the median step and of the first one, which compiles; in the second the memory is still growing."""
    as_a_command()
    import keras
    import numpy as np
    from PIL import Image

    import keras_booth

    booth = our_booth(size, dtype, small, family, lora=keras_booth.LoraConfig(RANK) if lora else None)
    times = []

    class Clock(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.start = time.perf_counter()

        def on_train_batch_end(self, batch, logs=None):
            times.append(time.perf_counter() - self.start)

    with tempfile.TemporaryDirectory() as folder:
        folders = [Path(folder, name) for name in ("photos", "class")]
        for index, place in enumerate(folders):
            place.mkdir()
            pixels = np.random.default_rng(index).integers(0, 256, (size, size, 3), "uint8")
            Image.fromarray(pixels).save(place / "1.png")
        data = keras_booth.data.photo_dataset(
            *folders, booth, batch_size=batch, steps_per_epoch=steps + 2, cache_latents=cached, cache_text=cached
        )
        if cached:
            booth.park_encoders()
        settings = {"learning_rate": 5e-6, "weight_decay": 0.01, "global_clipnorm": 1.0}
        made = keras.optimizers.get({"class_name": optimizer, "config": settings})
        booth.compile(made, gradient_checkpointing=checkpointing)
        booth.fit(data, verbose=0, callbacks=[Clock()])
    return float(np.median(times[2:])), times[0]


def theirs(what, precision, size, steps, checkpointing=False, batch=2, compiled=False, small=False, family="1.x"):
    """The same for diffusers, whose loop is written out here; on a GPU where there is one."""
    import diffusers
    import numpy as np
    import peft
    import torch

    dtype = torch.float32 if precision == "float32" else torch.bfloat16
    device = their_device()
    # What is frozen is kept in the precision of the run, as in the scripts, and here made in it, as it would be loaded.
    torch.set_default_dtype(dtype if what == "lora" else torch.float32)
    unet, vae, text_encoders = their_parts(size, small, family)
    torch.set_default_dtype(torch.float32)
    unet.to(device)
    vae.requires_grad_(False).to(device, torch.float32 if family == "xl" else dtype)
    for text_encoder in text_encoders:
        text_encoder.requires_grad_(False).to(device, dtype)
    scheduler = diffusers.DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    if what == "lora":
        unet.requires_grad_(False)
        targets = ["to_k", "to_q", "to_v", "to_out.0"]
        unet.add_adapter(peft.LoraConfig(r=RANK, lora_alpha=RANK, init_lora_weights="gaussian", target_modules=targets))
        diffusers.training_utils.cast_training_params(unet, dtype=torch.float32)
    if checkpointing:
        unet.enable_gradient_checkpointing()
    trained = [parameter for parameter in unet.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=5e-6, weight_decay=1e-2)
    pixels = torch.rand(batch, 3, size, size, device=device) * 2 - 1
    conditions = their_conditions(text_encoders, batch, size, device)
    if family == "xl":
        conditions = functools.partial(dict, **conditions())
        del text_encoders
    called = torch.compile(unet) if compiled else unet
    times = []
    for _ in range(steps + 2):
        start = time.perf_counter()
        with torch.autocast(device, dtype=dtype, enabled=precision != "float32"):
            latents = vae.encode(pixels.to(vae.dtype)).latent_dist.sample() * vae.config.scaling_factor
            noise = torch.randn_like(latents)
            timesteps = torch.randint(0, 1000, (batch,), device=device)
            noisy = scheduler.add_noise(latents, noise, timesteps)
            prediction = called(noisy, timesteps, **conditions()).sample
            prediction, prior = torch.chunk(prediction, 2, dim=0)
            target, prior_target = torch.chunk(noise, 2, dim=0)
            loss = torch.nn.functional.mse_loss(prediction.float(), target.float())
            loss = loss + torch.nn.functional.mse_loss(prior.float(), prior_target.float())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return float(np.median(times[2:])), times[0]


def their_conditions(text_encoders, batch, size, device):
    """A function of what goes into their UNet beside latents and timesteps: dict of keyword arguments."""
    import torch

    tokens = torch.randint(0, 49408, (batch, 77), device=device)
    sizes = torch.tensor([[size, size, 0, 0, size, size]] * batch, device=device)

    @torch.no_grad()
    def one():
        return {"encoder_hidden_states": text_encoders[0](tokens)[0]}

    @torch.no_grad()
    def two():
        found = [text_encoder(tokens, output_hidden_states=True) for text_encoder in text_encoders]
        context = torch.cat([each.hidden_states[-2] for each in found], dim=-1)
        added = {"text_embeds": found[1].text_embeds, "time_ids": sizes.to(context.dtype)}
        return {"encoder_hidden_states": context, "added_cond_kwargs": added}

    return one if len(text_encoders) == 1 else two


def numbers(flags):
    """What a case is told of the command line."""
    small = ["--small"] if flags.small else []
    return ["--size", flags.size, "--steps", flags.steps, "--family", flags.family, *small]


def side_by_side(flags):
    """Print the comparison as a table in Markdown."""
    print(
        "| trained | precision | ours, s | theirs, s | ratio | ours, GB | theirs, GB | ratio | first: ours | theirs |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for what, precision in itertools.product(flags.trained, flags.precisions):
        dtype = precision if precision == "float32" or what == "lora" else "mixed_bfloat16"
        options = {"checkpointing": flags.checkpointing}
        mine = measure(__file__, {"ours": {"lora": what == "lora", "dtype": dtype, **options}}, *numbers(flags))
        other = measure(__file__, {"theirs": {"what": what, "precision": precision, **options}}, *numbers(flags))
        cells = [what, precision]
        for key in ("seconds", "gigabytes"):
            cells += [f"{mine[key]:.2f}", f"{other[key]:.2f}", f"{mine[key] / other[key]:.2f}"]
        cells += [f"{found['first']:.0f}" for found in (mine, other)]
        print("| " + " | ".join(cells) + " |", flush=True)


def by_option(flags):
    """Print what each option costs as a table in Markdown."""
    print("| option | seconds per step | peak memory, GB |")
    print("|---|---|---|")
    for name, options in OPTIONS.items():
        found = measure(__file__, {"ours": options}, *numbers(flags))
        print(f"| {name} | {found['seconds']:.2f} | {found['gigabytes']:.1f} |", flush=True)


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128, help="side of the pictures in pixels")
    parser.add_argument("--steps", type=int, default=5, help="steps of which the median is taken")
    parser.add_argument("--family", choices=PRESETS, default="1.x")
    parser.add_argument("--small", action="store_true", help="few channels, to try this itself")
    parser.add_argument("--trained", nargs="+", default=["full", "lora"], choices=["full", "lora"])
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"], choices=["float32", "bfloat16"])
    parser.add_argument("--checkpointing", action="store_true", help="gradient checkpointing on both sides")
    parser.add_argument("--options", action="store_true", help="ours alone, by option")
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if not flags.case:
        return by_option(flags) if flags.options else side_by_side(flags)
    ((who, options),) = flags.case.items()
    options |= {"size": flags.size, "steps": flags.steps, "small": flags.small, "family": flags.family}
    seconds, first = {"ours": ours, "theirs": theirs}[who](**options)
    print(json.dumps({"seconds": seconds, "first": first, "gigabytes": peak()}))


if __name__ == "__main__":
    main()
