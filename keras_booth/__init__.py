"""DreamBooth for Keras: teach a Stable Diffusion model one subject from 3 to 5 photographs."""

from keras_booth import bases as bases
from keras_booth import data as data
from keras_booth.dreambooth import DreamBooth as DreamBooth
from keras_booth.dreambooth import load as load
from keras_booth.version import __version__ as __version__
