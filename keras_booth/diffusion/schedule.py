"""The forward diffusion process: how noise is added, and what the network is asked to predict."""

import dataclasses

import numpy as np
from keras import ops

from keras_booth.tools.annotations import Tensor
from keras_booth.tools.errors import InputError
from keras_booth.tools.files.typed_fields import check_types

PREDICTION_TYPES = ("epsilon", "v_prediction")
BETA_SCHEDULES = ("scaled_linear", "linear")
SPACINGS = ("leading", "trailing", "linspace")
MOST_STEPS = 100_000  # of the tables of a schedule; Stable Diffusion has 1000


@dataclasses.dataclass(frozen=True)
class NoiseSchedule:
    """Discrete variance-preserving noise schedule (DDPM, arXiv:2006.11239, section 2).

    The defaults are those Stable Diffusion was trained with, which are also KerasCV's
    `_ALPHAS_CUMPROD`. One object serves training and sampling, so the two cannot disagree.

    Args:
        steps: int >= 1. Number of training timesteps T; timesteps are integers in `[0, T)`.
        beta_start: float in (0, 1). Variance added at timestep 0.
        beta_end: float in (0, 1). Variance added at timestep T - 1.
        beta_schedule: `"scaled_linear"` (linear in the square root of beta) or `"linear"`.
        prediction_type: `"epsilon"` (the network predicts the noise) or `"v_prediction"`
            (progressive distillation, arXiv:2202.00512, appendix D).
        timestep_spacing: `"leading"`, `"trailing"` or `"linspace"` (arXiv:2305.08891, table 2): which timesteps a
            sampler visits.
        steps_offset: int >= 0. Added to the timesteps of leading spacing.
        ends_clean: bool. Whether the last sampling step goes to alpha_bar = 1; Stable Diffusion stops at alpha_bar_0.
        zero_terminal_snr: bool. Whether the betas are rescaled so that the last timestep is noise alone
            (arXiv:2305.08891, algorithm 1); needs `"v_prediction"`.

    Raises:
        InputError: if a field is outside of its range.
    """

    steps: int = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.012
    beta_schedule: str = "scaled_linear"
    prediction_type: str = "epsilon"
    timestep_spacing: str = "leading"
    steps_offset: int = 1
    ends_clean: bool = False
    zero_terminal_snr: bool = False

    def __post_init__(self):
        check_types(self)
        if not 1 <= self.steps <= MOST_STEPS:
            raise InputError(f"`steps` must be in [1, {MOST_STEPS}]. Received: steps={self.steps}")
        if not 0 < self.beta_start <= self.beta_end < 1:
            raise InputError(
                "The betas must satisfy 0 < beta_start <= beta_end < 1. "
                f"Received: beta_start={self.beta_start}, beta_end={self.beta_end}"
            )
        if self.beta_schedule not in BETA_SCHEDULES:
            raise InputError(f"`beta_schedule` must be one of {BETA_SCHEDULES}. Received: {self.beta_schedule!r}")
        if self.prediction_type not in PREDICTION_TYPES:
            raise InputError(f"`prediction_type` must be one of {PREDICTION_TYPES}. Received: {self.prediction_type!r}")
        if self.timestep_spacing not in SPACINGS:
            raise InputError(f"`timestep_spacing` must be one of {SPACINGS}. Received: {self.timestep_spacing!r}")
        if self.steps_offset < 0:
            raise InputError(f"`steps_offset` must be >= 0. Received: steps_offset={self.steps_offset}")
        if self.zero_terminal_snr and self.prediction_type == "epsilon":
            raise InputError("`zero_terminal_snr` needs prediction_type='v_prediction'. Received: 'epsilon'")

    @property
    def alphas_cumprod(self) -> np.ndarray:
        """float64 array `(steps,)`: the share of signal variance left at each timestep."""
        if self.beta_schedule == "scaled_linear":
            betas = np.linspace(self.beta_start**0.5, self.beta_end**0.5, self.steps) ** 2
        else:
            betas = np.linspace(self.beta_start, self.beta_end, self.steps)
        cumulative = np.cumprod(1.0 - betas)
        if not self.zero_terminal_snr:
            return cumulative
        signal = np.sqrt(cumulative)
        return np.square((signal - signal[-1]) * signal[0] / (signal[0] - signal[-1]))

    @property
    def sigmas(self) -> np.ndarray:
        """float64 array `(steps,)`: the noise-to-signal ratio sqrt((1 - alpha_bar) / alpha_bar) of each timestep, at
        most 4096, where zero terminal SNR would say infinity."""
        cumulative = np.maximum(self.alphas_cumprod, 2.0**-24)
        return np.sqrt((1.0 - cumulative) / cumulative)

    def rates(self, timesteps: Tensor, rank: int = 4) -> tuple[Tensor, Tensor]:
        """Signal and noise rates, sqrt(alpha_bar) and sqrt(1 - alpha_bar).

        Args:
            timesteps: int array `(batch,)` with values in `[0, steps)`.
            rank: int. Rank of the arrays that the rates will multiply.

        Returns:
            Two float32 arrays of shape `(batch, 1, …)` with `rank` axes.
        """
        # Looked up in tables made in float64: 1 - alpha_bar in float32 loses digits at small timesteps.
        cumulative = self.alphas_cumprod
        shape = (-1,) + (1,) * (rank - 1)
        tables = (np.sqrt(cumulative), np.sqrt(1.0 - cumulative))
        return tuple(
            ops.reshape(ops.take(ops.convert_to_tensor(table.astype("float32")), timesteps), shape) for table in tables
        )

    def snr(self, timesteps: Tensor) -> Tensor:
        """Signal-to-noise ratio alpha_bar / (1 - alpha_bar): int `(batch,)` -> float32 `(batch,)`."""
        cumulative = self.alphas_cumprod
        return ops.take(ops.convert_to_tensor((cumulative / (1.0 - cumulative)).astype("float32")), timesteps)

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """z_t = sqrt(alpha_bar_t) z + sqrt(1 - alpha_bar_t) eps (arXiv:2006.11239, equation 4).

        Args:
            latents: float array `(batch, …)`.
            noise: float array of the same shape, standard normal.
            timesteps: int array `(batch,)`.
        """
        signal, sigma = self.rates(timesteps, len(latents.shape))
        return signal * latents + sigma * noise

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What the network is asked to predict: eps, or v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) z."""
        if self.prediction_type == "epsilon":
            return noise
        signal, sigma = self.rates(timesteps, len(latents.shape))
        return signal * noise - sigma * latents

    def sampling_timesteps(self, count: int, spacing: str | None = None) -> np.ndarray:
        """The timesteps a sampler visits, from noisy to clean (arXiv:2305.08891, table 2).

        Args:
            count: int in `[1, steps]`.
            spacing: one of `SPACINGS`; `None` for the schedule's own.

        Returns:
            float64 array `(count,)` from `[0, steps - 1]`, decreasing; whole numbers but for linspace.
        """
        if not 1 <= count <= self.steps:
            raise InputError(f"The number of sampling steps must be in [1, {self.steps}]. Received: {count}")
        spacing = spacing or self.timestep_spacing
        if spacing == "trailing":
            timesteps = np.round(np.arange(self.steps, 0, -self.steps / count))[:count] - 1
        elif spacing == "leading":
            timesteps = np.arange(count)[::-1] * (self.steps // count) + self.steps_offset
        elif spacing == "linspace":
            timesteps = np.linspace(0, self.steps - 1, count)[::-1]
        else:
            raise InputError(f"`spacing` must be one of {SPACINGS}. Received: {spacing!r}")
        return np.clip(timesteps, 0, self.steps - 1).astype("float64")
