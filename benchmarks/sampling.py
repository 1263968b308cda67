"""Pictures per minute of Stable Diffusion 1.x at full size, ours beside diffusers' `StableDiffusionPipeline`.

    python benchmarks/sampling.py --sizes 128 256 --steps 10

Both: random weights, the same batch, steps, sampler (DDIM), guidance and precision, from the prompt's tokens to uint8
pictures; the median of three calls after a first one, which compiles. Each case runs in a process of its own, ours
and theirs by turns. The last line is tiny_world's pictures per second.
"""

import argparse
import json
import statistics
import time

from full_size import as_a_command, measure, our_booth, peak, their_device, their_parts

BATCH = 2
GUIDANCE = 7.5


def ours(size, steps, dtype, batch=BATCH, small=False):
    """Seconds of a call of `generate`."""
    as_a_command()
    booth = our_booth(size, dtype, small)

    def draw():
        return booth.generate("a photo of a dog", batch, steps=steps, guidance_scale=GUIDANCE, sampler="ddim")

    return timed(draw)


def theirs(size, steps, dtype, batch=BATCH, compiled=False, small=False):
    """Seconds of a call of diffusers' pipeline; on a GPU where there is one."""
    import diffusers
    import torch

    precision = {"float32": torch.float32, "bfloat16": torch.bfloat16}[dtype]
    device = their_device()
    unet, vae, (text_encoder,) = their_parts(size, small)
    unet, vae, text_encoder = (part.to(device, precision) for part in (unet, vae, text_encoder))
    scheduler = diffusers.DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    pipeline = diffusers.StableDiffusionPipeline(
        vae, text_encoder, None, unet, scheduler, None, None, requires_safety_checker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    if compiled:
        pipeline.unet = torch.compile(unet)
    tokens = torch.randint(0, 49408, (2, 1, 77), device=device)

    @torch.inference_mode()
    def draw():
        context, negative = (text_encoder(row)[0] for row in tokens)
        return pipeline(
            prompt_embeds=context,
            negative_prompt_embeds=negative,
            num_images_per_prompt=batch,
            num_inference_steps=steps,
            guidance_scale=GUIDANCE,
            height=size,
            width=size,
            output_type="np",
        ).images

    return timed(draw)


def tiny_world(count=64):
    """Pictures per second of the base of the package with its own settings."""
    as_a_command()
    import keras_booth

    booth = keras_booth.DreamBooth.from_preset("tiny_world")
    return count / timed(lambda: booth.generate("a photo of a dog", count))


def timed(draw):
    """Median seconds of three calls after a first one."""
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        draw()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256], help="sides of the pictures in pixels")
    parser.add_argument("--steps", type=int, default=10, help="sampling steps")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.case:
        what, *arguments = flags.case
        value = {"ours": ours, "theirs": theirs, "tiny_world": tiny_world}[what](*arguments)
        print(json.dumps({"value": value, "gigabytes": peak()}))
        return
    print("| pixels | precision | ours, pictures a minute | theirs | ratio | ours, GB | theirs, GB |")
    print("|---|---|---|---|---|---|---|")
    for dtype in flags.dtypes:
        for size in flags.sizes:
            mine, other = (measure(__file__, [who, size, flags.steps, dtype]) for who in ("ours", "theirs"))
            rates = [60 * BATCH / found["value"] for found in (mine, other)]
            cells = [size, dtype, f"{rates[0]:.1f}", f"{rates[1]:.1f}", f"{rates[0] / rates[1]:.2f}"]
            cells += [f"{mine['gigabytes']:.1f}", f"{other['gigabytes']:.1f}"]
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    print(f"\ntiny_world: {measure(__file__, ['tiny_world'])['value']:.1f} pictures a second")


if __name__ == "__main__":
    main()
