"""Mathematics of diffusion: arrays in, arrays out."""

from keras_booth.diffusion.guidance import guided as guided
from keras_booth.diffusion.samplers import SAMPLERS as SAMPLERS
from keras_booth.diffusion.samplers import Sampling as Sampling
from keras_booth.diffusion.samplers import sample as sample
from keras_booth.diffusion.schedule import NoiseSchedule as NoiseSchedule
from keras_booth.diffusion.weighting import snr_weights as snr_weights
