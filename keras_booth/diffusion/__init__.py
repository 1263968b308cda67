"""Mathematics of diffusion: arrays in, arrays out."""

from keras_booth.tools.process.backend import require_backend

require_backend()

from keras_booth.diffusion.guidance import guided
from keras_booth.diffusion.samplers import RHOS, SAMPLERS, Plan, Sampling, follow, make_plan, sample
from keras_booth.diffusion.schedule import NoiseSchedule
from keras_booth.diffusion.weighting import snr_weights

__all__ = [
    "NoiseSchedule",
    "Plan",
    "RHOS",
    "SAMPLERS",
    "Sampling",
    "follow",
    "guided",
    "make_plan",
    "sample",
    "snr_weights",
]
