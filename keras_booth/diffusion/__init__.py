"""Mathematics of diffusion: arrays in, arrays out."""

from keras_booth.diffusion.samplers import ddim as ddim
from keras_booth.diffusion.samplers import guided as guided
from keras_booth.diffusion.schedule import NoiseSchedule as NoiseSchedule
