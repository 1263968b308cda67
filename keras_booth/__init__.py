"""DreamBooth for Keras: teach a Stable Diffusion model one subject from 3 to 5 photographs."""

import importlib
import sys

from keras_booth.tools.backend import require_backend as _require_backend
from keras_booth.version import __version__ as __version__

_NAMES = {name: "keras_booth.dreambooth" for name in ("DreamBooth", "LoraConfig", "load")}
_ROOMS = {
    "bases": "keras_booth.bases",
    "data": "keras_booth.data",
    "callbacks": "keras_booth.callbacks",
}


def __getattr__(name):
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    if name in _ROOMS:
        return importlib.import_module(_ROOMS[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# While Python locates `python -m keras_booth.train`, `sys.argv[0]` is "-m": the commands refuse mistakes before
# TensorFlow is loaded. Everybody else gets it all at once, so that `keras.saving.load_model` knows the classes.
if sys.argv[:1] != ["-m"]:
    _require_backend()
    for _name in (*_ROOMS, *_NAMES):
        globals()[_name] = __getattr__(_name)
