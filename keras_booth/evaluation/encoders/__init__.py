"""Networks that turn pictures and texts into what metrics compare."""

from keras_booth.evaluation.encoders.clip import TextEncoder, load_clip
from keras_booth.evaluation.encoders.dino import load_dino
from keras_booth.evaluation.encoders.image_encoder import ImageEncoder
from keras_booth.evaluation.encoders.lpips import Lpips, load_lpips
from keras_booth.evaluation.encoders.preprocessing import Preprocessing

__all__ = ["ImageEncoder", "Lpips", "Preprocessing", "TextEncoder", "load_clip", "load_dino", "load_lpips"]
