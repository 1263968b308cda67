"""How much an error counts at each timestep."""

from keras import ops

from keras_booth.diffusion.schedule import NoiseSchedule
from keras_booth.tools.annotations import Tensor


def snr_weights(schedule: NoiseSchedule, timesteps: Tensor, most: float, least: float = 0.0) -> Tensor:
    """Weights with which an error of z_0 counts its SNR, kept within bounds (min-SNR, arXiv:2303.09556, section 3.4).

    An error of eps is an error of z_0 times SNR; one of v, times SNR + 1.

    Args:
        schedule: `NoiseSchedule`.
        timesteps: int array `(batch,)`.
        most: float > 0, the paper's gamma; its choice is 5.
        least: float >= 0. A bound from below (arXiv:2202.00512, section 4: 1), for what is decided where there is
            nearly only noise.

    Returns:
        float32 array `(batch,)`.
    """
    snr = schedule.snr(timesteps)
    inherent = snr if schedule.prediction_type == "epsilon" else snr + 1.0
    return ops.clip(snr, least, most) / inherent
