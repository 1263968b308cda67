"""What diffusers' schedulers do, step by step: writes `samplers.npz`. Needs torch and diffusers.

`python -m tests.diffusion.make_goldens`
"""

import pathlib

import diffusers
import numpy as np
import torch
from diffusers.schedulers import scheduling_euler_ancestral_discrete as ancestral

from tests.helpers.sampler_cases import cases, network, noises

HERE = pathlib.Path(__file__).parent
KINDS = {
    "ddim": diffusers.DDIMScheduler,
    "euler": diffusers.EulerDiscreteScheduler,
    "euler_ancestral": diffusers.EulerAncestralDiscreteScheduler,
    "dpmpp_2m": diffusers.DPMSolverMultistepScheduler,
}


def scheduler_of(sampler, spacing, prediction_type, karras=False, **_):
    """Their scheduler with Stable Diffusion's settings."""
    options = {"clip_sample": False, "set_alpha_to_one": False} if sampler == "ddim" else {}
    if karras:
        options["use_karras_sigmas"] = True
    return KINDS[sampler](
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        steps_offset=1,
        timestep_spacing=spacing,
        prediction_type=prediction_type,
        **options,
    )


def trajectory(sampler, steps, eta=0.0, **options):
    """What the network gets in each step, and the end: float32 `(steps + 1, *SHAPE)`."""
    scheduler = scheduler_of(sampler, **options)
    scheduler.set_timesteps(steps)
    start, fresh = noises(steps)
    sample = torch.from_numpy(start) * scheduler.init_noise_sigma
    seen = []
    for index, timestep in enumerate(scheduler.timesteps):
        given = scheduler.scale_model_input(sample, timestep)
        seen.append(given.numpy().copy())
        prediction = torch.from_numpy(network(given.numpy(), np.float32(timestep)).astype("float32"))
        noise = torch.from_numpy(fresh[index])
        ancestral.randn_tensor = lambda *args, noise=noise, **kwargs: noise
        more = {"eta": eta, "variance_noise": noise if eta else None} if sampler == "ddim" else {}
        sample = scheduler.step(prediction, timestep, sample, **more).prev_sample
    return np.stack([*seen, sample.numpy()])


if __name__ == "__main__":
    np.savez_compressed(HERE / "samplers.npz", **{name: trajectory(**case) for name, case in cases().items()})
