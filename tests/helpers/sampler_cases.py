"""What the samplers are compared on: a fixed network, fixed noise, and the schedulers' settings."""

import itertools

import numpy as np

SHAPE = (2, 3, 3, 2)
SPACINGS = {
    "ddim": ("leading", "trailing"),  # diffusers' DDIM takes linspace's timesteps, but steps as if they were leading
    "euler": ("leading", "trailing", "linspace"),
    "euler_ancestral": ("leading", "trailing", "linspace"),
    "dpmpp_2m": ("leading", "trailing", "linspace"),
}


def cases():
    """dict of settings by name."""
    found = {}
    for sampler, spacings in SPACINGS.items():
        choices = {
            "ddim": [{}, {"eta": 0.6}],
            "euler": [{}, {"karras": True}],
            "euler_ancestral": [{}],
            "dpmpp_2m": [{"karras": False}, {"karras": True}],
        }[sampler]
        for spacing, steps, kind, more in itertools.product(spacings, (10, 25), ("epsilon", "v_prediction"), choices):
            name = "-".join([sampler, spacing, str(steps), kind, *(key for key, value in more.items() if value)])
            found[name] = {"sampler": sampler, "spacing": spacing, "steps": steps, "prediction_type": kind, **more}
    return found


def network(latents, timestep):
    """A function of both arguments that no sampler can get right by accident; NumPy arrays or tensors' values."""
    return 0.6 * latents * timestep / 1000 + 0.3 * np.sin(3 * latents + timestep / 200)


def noises(steps):
    """`(start, fresh)`: float32 `SHAPE`, `(steps, *SHAPE)`."""
    rng = np.random.default_rng(5)
    return rng.standard_normal(SHAPE, "float32"), rng.standard_normal((steps, *SHAPE), "float32")
