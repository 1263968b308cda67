"""DreamBooth for Keras: teach a Stable Diffusion model one subject from 3 to 5 photographs.

What it offers stands in `__init__.pyi`, and is imported when it is first used: Keras and TensorFlow take seconds.
"""

import lazy_loader

from keras_booth.registration import register_when_keras_is_imported
from keras_booth.version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

register_when_keras_is_imported()
