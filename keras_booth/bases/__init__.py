"""Stable Diffusion bases: what a DreamBooth starts from."""

from keras_booth.bases.base import BaseConfig as BaseConfig
from keras_booth.bases.base import StableDiffusionBase as StableDiffusionBase
from keras_booth.bases.checkpoints import Checkpoint as Checkpoint
from keras_booth.bases.export import check_export as check_export
from keras_booth.bases.export import export_base as export_base
from keras_booth.bases.identifiers import rare_identifiers as rare_identifiers
from keras_booth.bases.identifiers import rarity as rarity
from keras_booth.bases.layouts import named_layers as named_layers
from keras_booth.bases.low_rank import LowRank as LowRank
from keras_booth.bases.machine import prefers_jit as prefers_jit
from keras_booth.bases.pipeline import Drawing as Drawing
from keras_booth.bases.pipeline import TextToImage as TextToImage
from keras_booth.bases.presets import PRESETS as PRESETS
from keras_booth.bases.presets import describe_base as describe_base
from keras_booth.bases.presets import load_base as load_base
from keras_booth.bases.sizes import activation_floats as activation_floats
from keras_booth.bases.sizes import lora_parameters as lora_parameters
from keras_booth.bases.sizes import shape_of as shape_of
from keras_booth.bases.tokenizer import Tokenizer as Tokenizer
