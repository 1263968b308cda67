"""A small illustrated world and the base that knows it."""

from keras_booth.tools.process.backend import require_backend

require_backend()

from keras_booth.tiny_world.encoders import TinyEncoders
from keras_booth.tiny_world.judge import Judge
from keras_booth.tiny_world.pretrain import run_stages
from keras_booth.tiny_world.scenes import ATTRIBUTES, CAPTION_PARTS, Look, Scene, caption, random_scene, render

__all__ = [
    "ATTRIBUTES",
    "CAPTION_PARTS",
    "Judge",
    "Look",
    "Scene",
    "TinyEncoders",
    "caption",
    "random_scene",
    "render",
    "run_stages",
]
