"""The paper: DreamBooth as a `keras.Model`."""

from keras_booth.dreambooth.lora.adapters import LoraConfig as LoraConfig
from keras_booth.dreambooth.model import DreamBooth as DreamBooth
from keras_booth.dreambooth.storage import load as load
from keras_booth.dreambooth.subject import default_prompts as default_prompts
