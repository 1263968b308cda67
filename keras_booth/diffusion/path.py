"""Which noise levels a sampler visits."""

from __future__ import annotations

import dataclasses

import numpy as np

from keras_booth.diffusion.schedule import NoiseSchedule

RHO = 7.0  # of arXiv:2206.00364, equation 5


@dataclasses.dataclass(frozen=True)
class Path:
    """Noise levels from noisy to clean.

    A level sigma is the noise-to-signal ratio sqrt((1 - alpha_bar) / alpha_bar): latents are z_0 + sigma noise, up to
    the factor sqrt(alpha_bar) with which the network gets them.

    Args:
        timesteps: float32 array `(steps,)`, what the network is told; between two timesteps where a level is.
        sigmas: float64 array `(steps + 1,)`, decreasing; the last one is where the sampler stops.
        scale: float. What standard normal noise is multiplied by at the beginning.
    """

    timesteps: np.ndarray
    sigmas: np.ndarray
    scale: float

    def after(self, first: int) -> Path:
        """The path without its first steps."""
        return dataclasses.replace(self, timesteps=self.timesteps[first:], sigmas=self.sigmas[first:])


def make_path(
    schedule: NoiseSchedule,
    steps: int,
    spacing: str | None = None,
    karras: bool = False,
    *,
    whole: bool,
    beyond: int = 0,
    karras_over_all: bool = False,
    rho: float | None = None,
    stops_early: bool = False,
) -> Path:
    """The path of a sampler, as diffusers' scheduler of the same name takes it.

    Args:
        schedule: `NoiseSchedule`.
        steps: int in `[1, schedule.steps]`.
        spacing: see `NoiseSchedule.sampling_timesteps`.
        karras: bool. Whether to space the levels as equation 5 of arXiv:2206.00364 does, more of them near the picture.
        whole: bool. Whether timesteps are rounded.
        beyond: int. Points below the last level that the spacing reckons with.
        karras_over_all: bool. Whether Karras's levels begin and end with the schedule's, not with the spacing's.
        rho: float >= 1, the exponent of Karras's levels; `None` for theirs, 7. With one that is given, they begin and
            end with the schedule's, and the lowest is not visited: the step before it ends without noise.
        stops_early: bool. Whether the last step ends at the schedule's lowest level, if the schedule says so.
    """
    trailing = (spacing or schedule.timestep_spacing) == "trailing"
    # With as many steps as there are timesteps there is no point beyond.
    beyond = 0 if trailing else max(min(beyond, schedule.steps - steps), 0)
    timesteps = schedule.sampling_timesteps(steps + beyond, spacing)[:steps]
    timesteps = np.round(timesteps) if whole else timesteps
    table = schedule.sigmas
    sigmas = np.interp(timesteps, np.arange(schedule.steps), table)
    if karras:
        whole_range = karras_over_all or rho is not None
        low, high = (table[0], table[-1]) if whole_range else (sigmas[-1], sigmas[0])
        # Of few steps one at the lowest level is lost: what is left of the noise there is not seen.
        count, root = (steps, 1 / RHO) if rho is None else (steps + 1, 1 / rho)
        ramp = np.linspace(0, 1, count)[:steps]
        sigmas = (high**root + ramp * (low**root - high**root)) ** (1 / root)
        timesteps = np.interp(np.log(sigmas), np.log(table), np.arange(schedule.steps))
        timesteps = np.round(timesteps) if whole else timesteps
    last = table[0] if stops_early and not schedule.ends_clean else 0.0
    return Path(timesteps.astype("float32"), np.append(sigmas, last), float(np.sqrt(sigmas[0] ** 2 + 1)))
