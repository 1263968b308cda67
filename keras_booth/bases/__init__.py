"""Stable Diffusion bases: what a DreamBooth starts from."""

from keras_booth.tools.process.backend import require_backend

require_backend()

from keras_booth.bases.base import BaseConfig, StableDiffusionBase, described, global_policy
from keras_booth.bases.formats.archive import CLASS as ARCHIVED_CLASS
from keras_booth.bases.formats.archive import CONFIG_FILE, VOCABULARY_FILE, open_archive, read_archive
from keras_booth.bases.formats.export import check_export, export_base
from keras_booth.bases.formats.foreign_model import ForeignModel, check_and_load, open_model
from keras_booth.bases.formats.lora.kinds import refuse_other_lora
from keras_booth.bases.formats.lora.names import aliases as lora_aliases
from keras_booth.bases.formats.lora.names import kohya_names
from keras_booth.bases.formats.lora.names import split_key as split_lora_key
from keras_booth.bases.formats.names import CONV, LINEAR, VECTOR, Kind, named_layers
from keras_booth.bases.formats.names import Tensor as WeightTensor
from keras_booth.bases.formats.original.modelspec import (
    kohya_model,
    model_spec,
    stable_diffusion_version,
    warn_of_strangers,
)
from keras_booth.bases.formats.own_weights import load_weights, named_variables, save_weights
from keras_booth.bases.formats.tensors import Checkpoint, as_stored, fits, read_json
from keras_booth.bases.formats.weights_h5 import WEIGHTS_FILE
from keras_booth.bases.identifiers import rare_identifiers, rarity
from keras_booth.bases.knowledge import known_classes
from keras_booth.bases.networks.autoencoder import LOG_VARIANCE, build_decoder, build_image_encoder
from keras_booth.bases.networks.checks import check_merging
from keras_booth.bases.networks.low_rank import LowRank, loaded_later, matrices_left_out
from keras_booth.bases.pipeline import Compiled, DrawSettings, TextToImage
from keras_booth.bases.presets import PRESETS, config_at_hand, describe_base, load_base
from keras_booth.bases.request import BaseRequest
from keras_booth.bases.sizes import activation_floats, lora_parameters, shape_of
from keras_booth.bases.tiny_world import IMAGE_SIZE as TINY_WORLD_IMAGE_SIZE
from keras_booth.bases.tiny_world import VOCABULARY as TINY_WORLD_VOCABULARY
from keras_booth.bases.tiny_world import WEIGHTS as TINY_WORLD_WEIGHTS
from keras_booth.bases.tiny_world import tiny_world_config, tiny_xl_config
from keras_booth.bases.tokenizer import Tokenizer
from keras_booth.bases.vocabularies import recall, remember, vocabulary_digest

__all__ = [
    "ARCHIVED_CLASS",
    "CONFIG_FILE",
    "CONV",
    "BaseConfig",
    "BaseRequest",
    "Checkpoint",
    "Compiled",
    "DrawSettings",
    "ForeignModel",
    "Kind",
    "LINEAR",
    "LOG_VARIANCE",
    "LowRank",
    "PRESETS",
    "StableDiffusionBase",
    "TINY_WORLD_IMAGE_SIZE",
    "TINY_WORLD_VOCABULARY",
    "TINY_WORLD_WEIGHTS",
    "TextToImage",
    "Tokenizer",
    "VECTOR",
    "VOCABULARY_FILE",
    "WEIGHTS_FILE",
    "WeightTensor",
    "activation_floats",
    "build_decoder",
    "build_image_encoder",
    "check_and_load",
    "check_export",
    "check_merging",
    "config_at_hand",
    "describe_base",
    "described",
    "export_base",
    "fits",
    "global_policy",
    "known_classes",
    "kohya_model",
    "kohya_names",
    "load_base",
    "loaded_later",
    "load_weights",
    "lora_aliases",
    "lora_parameters",
    "matrices_left_out",
    "model_spec",
    "named_layers",
    "named_variables",
    "open_archive",
    "open_model",
    "rare_identifiers",
    "rarity",
    "read_archive",
    "read_json",
    "refuse_other_lora",
    "recall",
    "remember",
    "as_stored",
    "save_weights",
    "shape_of",
    "split_lora_key",
    "stable_diffusion_version",
    "tiny_world_config",
    "tiny_xl_config",
    "vocabulary_digest",
    "warn_of_strangers",
]
