"""The paper: DreamBooth as a `keras.Model`."""

from keras_booth.tools.process.backend import require_backend

require_backend()

from keras_booth.dreambooth.lora.adapters import LoraConfig
from keras_booth.dreambooth.loss import squared_error
from keras_booth.dreambooth.model import DreamBooth
from keras_booth.dreambooth.optimizers.ending import averaged
from keras_booth.dreambooth.prior.cache import check_cache, set_bytes
from keras_booth.dreambooth.prior.drawing import weights_digest
from keras_booth.dreambooth.storage import load
from keras_booth.dreambooth.subject import default_prompts

__all__ = [
    "DreamBooth",
    "LoraConfig",
    "averaged",
    "check_cache",
    "default_prompts",
    "load",
    "set_bytes",
    "squared_error",
    "weights_digest",
]
