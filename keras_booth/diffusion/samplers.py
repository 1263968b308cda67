"""Samplers: pure functions from noise to latents.

Every sampler here is a linear rule. With the network's estimate D of the clean latents, x at the level sigma becomes

    x' = decay x + (1 - decay) (D + lead (D - D_before)) + fresh noise

at the next level; samplers differ in the three numbers of each step and in the levels they visit.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from keras_booth.diffusion.path import Path, make_path
from keras_booth.diffusion.schedule import SPACINGS, NoiseSchedule
from keras_booth.tools.annotations import Tensor
from keras_booth.tools.errors import InputError

RHOS = 1, 100  # exponents of Karras's levels; at 100 they are as good as even in the logarithm


@dataclasses.dataclass(frozen=True)
class Rule:
    """The numbers of each step: float64 arrays `(steps,)`."""

    decay: np.ndarray
    lead: np.ndarray
    fresh: np.ndarray


def ancestral_rule(sigmas: np.ndarray, eta: float) -> Rule:
    """One evaluation a step, a share of the noise replaced: Euler's method (arXiv:2206.00364, algorithm 1) for eta 0,
    ancestral sampling for eta 1. In these units it is DDIM, too (arXiv:2010.02502, equations 12 and 16)."""
    now, then = sigmas[:-1], sigmas[1:]
    fresh = eta * np.sqrt(then**2 * (now**2 - then**2) / now**2)
    return Rule(np.sqrt(then**2 - fresh**2) / now, np.zeros_like(now), fresh)


def multistep_rule(sigmas: np.ndarray, eta: float) -> Rule:
    """DPM-Solver++ (2M) (arXiv:2211.01095, algorithm 2): the estimate is led on along its last change. The first step
    has no change to go by, and the last one ends at the estimate itself."""
    del eta
    decay = sigmas[1:] / sigmas[:-1]
    with np.errstate(divide="ignore"):
        steps = -np.log(decay)
    lead = np.zeros_like(decay)
    lead[1:] = np.where(np.isfinite(steps[1:]), steps[1:] / (2 * steps[:-1]), 0.0)
    return Rule(decay, lead, np.zeros_like(decay))


@dataclasses.dataclass(frozen=True)
class Sampler:
    """A rule, and the path it takes: see `make_path`."""

    rule: Callable[[np.ndarray, float], Rule]
    path: dict[str, Any]
    eta: float = 0.0
    karras: bool = False
    # Whether the beginning is noise alone, or (as diffusers' Euler does it where a path begins at the top) without the
    # variance of the latents under it.
    full_start: bool = True


SAMPLERS = {
    "ddim": Sampler(ancestral_rule, {"whole": True, "stops_early": True}),
    "euler": Sampler(ancestral_rule, {"whole": False}, full_start=False),
    "euler_ancestral": Sampler(ancestral_rule, {"whole": False}, eta=1.0, full_start=False),
    "dpmpp_2m": Sampler(multistep_rule, {"whole": True, "beyond": 1, "karras_over_all": True}, karras=True),
}


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How pictures are drawn.

    Args:
        sampler: `"ddim"`, `"euler"`, `"euler_ancestral"` or `"dpmpp_2m"`.
        steps: int >= 1. Calls of the network.
        spacing: `"leading"`, `"trailing"` or `"linspace"` (arXiv:2305.08891, table 2); `None` for the schedule's own.
        karras: bool. Whether to visit Karras's noise levels (arXiv:2206.00364, equation 5) and not the spacing's;
            `None` for the sampler's own: yes for `"dpmpp_2m"`, which at 10 steps is then nearer to the truth than all
            others (`tests/diffusion/test_samplers.py`), unless a spacing is named, or the schedule begins with noise
            alone.
        rho: float in `[1, 100]`. Exponent of Karras's levels: the greater, the more of them near the picture. `None`
            for 7, with the levels that diffusers visits. With one that is given, the schedule's lowest level is not
            visited, but the end: of few steps that one is better spent above it.
        eta: float in `[0, 1]`. Share of the noise that is replaced in each step; `None` for the sampler's own: 1 for
            `"euler_ancestral"`, else 0. `"dpmpp_2m"` takes 0 only.
    """

    sampler: str = "dpmpp_2m"
    steps: int = 25
    spacing: str | None = None
    karras: bool | None = None
    eta: float | None = None
    rho: float | None = None

    def __post_init__(self):
        if self.sampler not in SAMPLERS:
            raise InputError(f"`sampler` must be one of {tuple(SAMPLERS)}. Received: sampler={self.sampler!r}")
        if not self.steps >= 1:
            raise InputError(f"`steps` must be >= 1. Received: steps={self.steps}")
        if self.spacing not in (None, *SPACINGS):
            raise InputError(f"`spacing` must be one of {SPACINGS}. Received: spacing={self.spacing!r}")
        if self.eta is not None and not 0 <= self.eta <= 1:
            raise InputError(f"`eta` must be in [0, 1]. Received: eta={self.eta}")
        if self.rho is not None and not RHOS[0] <= self.rho <= RHOS[1]:
            raise InputError(f"`rho` must be in {list(RHOS)}. Received: rho={self.rho}")
        if self.eta and self.sampler == "dpmpp_2m":
            raise InputError(f"'dpmpp_2m' replaces no noise: leave `eta` out. Received: eta={self.eta}")
        # Descriptions of 3 and 3.0 must be the same.
        for name in ("eta", "rho"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else float(value))

    @property
    def share(self) -> float:
        """float: eta, filled in."""
        return SAMPLERS[self.sampler].eta if self.eta is None else float(self.eta)

    def path(self, schedule: NoiseSchedule) -> Path:
        """The `Path` on a schedule."""
        sampler = SAMPLERS[self.sampler]
        path = make_path(schedule, self.steps, self.spacing, self.visits_karras(schedule), rho=self.rho, **sampler.path)
        if not sampler.full_start and (self.spacing or schedule.timestep_spacing) != "leading":
            path = dataclasses.replace(path, scale=float(path.sigmas[0]))
        return path

    def visits_karras(self, schedule: NoiseSchedule) -> bool:
        """Whether the noise levels are Karras's."""
        # From noise alone, a level without an end, two thirds of Karras's levels would be spent on hardly anything.
        suited = self.spacing is None and not schedule.zero_terminal_snr
        return SAMPLERS[self.sampler].karras and suited if self.karras is None else self.karras

    def left_out(self, schedule: NoiseSchedule, strength: float) -> int:
        """How many steps are left out where a picture is drawn over (SDEdit, arXiv:2108.01073).

        Args:
            schedule: `NoiseSchedule`.
            strength: float in `(0, 1]`. The share of the steps that is taken. Of Karras's levels, most of which are
                near the picture, so many that they begin with as much noise as the same share of the spacing's.

        Returns:
            int in `[0, steps)`.
        """
        first = self.steps - max(int(self.steps * strength), 1)
        if not first:
            return 0
        level = dataclasses.replace(self, karras=False).path(schedule).sigmas[first]
        return int(np.abs(np.log(self.path(schedule).sigmas[:-1] / level)).argmin())


@dataclasses.dataclass(frozen=True)
class Plan:
    """All that a sampler does, as numbers: one compiled program follows every plan.

    Args:
        table: float32 array `(steps, 5)`: at each step the timestep, sigma, and the numbers of its `Rule`.
        begin: float. What the noise is multiplied by at the beginning.
        end: float. What the latents are divided by at the end.
    """

    table: np.ndarray
    begin: float
    end: float

    def padded(self) -> np.ndarray:
        """The table with rows of zeros after it, as many as make the number of rows a power of two, or 16: a compiled
        program is of one number of rows."""
        rows = max(16, 1 << (len(self.table) - 1).bit_length())
        return np.pad(self.table, ((0, rows - len(self.table)), (0, 0)))


def make_plan(schedule: NoiseSchedule, sampling: Sampling, first: int = 0, over: bool = False) -> Plan:
    """The `Plan` of a sampling.

    Args:
        schedule: `NoiseSchedule`.
        sampling: `Sampling`.
        first: int. Steps that are left out.
        over: bool. Whether clean latents are drawn over, which noise is added to.
    """
    path = sampling.path(schedule).after(first)
    rule = SAMPLERS[sampling.sampler].rule(path.sigmas, sampling.share)
    table = np.stack([path.timesteps, path.sigmas[:-1], rule.decay, rule.lead, rule.fresh], axis=-1)
    # Back to unit variance, where the path does not end without noise.
    return Plan(
        table.astype("float32"),
        begin=float(path.sigmas[0] if over else path.scale),
        end=float(np.sqrt(path.sigmas[-1] ** 2 + 1)),
    )


def sample(
    predict: Callable[[Tensor, Tensor], Tensor],
    noise: Tensor,
    schedule: NoiseSchedule,
    sampling: Sampling,
    *,
    fresh: Tensor | None = None,
    clean: Tensor | None = None,
    first: int = 0,
) -> Tensor:
    """Draw.

    Args:
        predict: callable `(latents, timesteps) -> prediction`, with `timesteps` a float32 array `(batch,)` and latents
            of unit variance, as the network was trained on.
        noise: float array `(batch, …)`, standard normal.
        schedule: `NoiseSchedule`, which also says how a prediction is read.
        sampling: `Sampling`.
        fresh: float array `(steps, batch, …)`, standard normal, for a sampler that replaces noise; else `None`.
        clean: float array like `noise`: latents to draw over (SDEdit, arXiv:2108.01073); `None` for none.
        first: int. Steps that are left out because `clean` has come that far.

    Returns:
        float array of the shape of `noise`: the estimate of z_0.
    """
    plan = make_plan(schedule, sampling, first, over=clean is not None)
    fresh = None if fresh is None else fresh[first:]
    return follow(
        predict,
        noise,
        schedule.prediction_type,
        ops.convert_to_tensor(plan.table),
        len(plan.table),
        plan.begin,
        plan.end,
        fresh=fresh,
        clean=clean,
    )


def follow(
    predict: Callable[[Tensor, Tensor], Tensor],
    noise: Tensor,
    prediction_type: str,
    table: Tensor,
    steps: Tensor | int,
    begin: Tensor | float,
    end: Tensor | float,
    *,
    fresh: Tensor | None = None,
    clean: Tensor | None = None,
) -> Tensor:
    """Draw after a `Plan`, whose numbers may be known only when a compiled caller runs.

    The loop is `keras.ops.fori_loop`, so that a compiled caller has no host round trip between steps.

    Args:
        predict, noise, clean: as in `sample`.
        prediction_type: `"epsilon"` or `"v_prediction"`.
        table, begin, end: those of a `Plan`; the table may be padded.
        steps: int, or a scalar tensor. Rows of the table that are followed.
        fresh: float array `(rows of the table, batch, …)`, standard normal, for a sampler that replaces noise.
    """

    def step(index, state):
        latents, before = state
        timestep, sigma, decay, lead, share = ops.unstack(table[index], num=5)
        estimate = denoise(predict, latents, sigma, timestep, prediction_type)
        led = estimate + lead * (estimate - before)
        latents = decay * latents + (1.0 - decay) * led
        if fresh is not None:
            latents = latents + share * fresh[index]
        return latents, estimate

    start = begin * noise if clean is None else clean + begin * noise
    latents, _ = ops.fori_loop(0, steps, step, (start, ops.zeros_like(start)))
    return latents / end


def denoise(
    predict: Callable[[Tensor, Tensor], Tensor], latents: Tensor, sigma: Tensor, timestep: Tensor, prediction_type: str
) -> Tensor:
    """The network's estimate of the clean latents in `latents` = z_0 + sigma noise."""
    size = ops.sqrt(sigma**2 + 1.0)
    prediction = predict(latents / size, ops.broadcast_to(timestep, (ops.shape(latents)[0],)))
    if prediction_type == "epsilon":
        return latents - sigma * prediction
    return latents / size**2 - sigma / size * prediction
