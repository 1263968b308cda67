"""Print name and shape of every weight at Stable Diffusion's full size, KerasCV's and ours, as JSON.

In a stateless scope variables get shapes but no memory, so that this takes seconds and less than a gigabyte.
"""

import json

import keras
from keras_cv.models import stable_diffusion as kerascv

from keras_booth.bases import BaseConfig, StableDiffusionBase


def shapes(model):
    return [(variable.name, tuple(variable.shape)) for variable in model.weights]


with keras.StatelessScope(initialize_variables=False):
    base = StableDiffusionBase(BaseConfig("stable_diffusion_1.4", image_size=64))
    originals = {
        "text_encoder": kerascv.TextEncoder(77, download_weights=False),
        "unet": kerascv.DiffusionModel(64, 64, 77, download_weights=False),
        "image_encoder": kerascv.ImageEncoder(download_weights=False),
        "decoder": kerascv.Decoder(64, 64, download_weights=False),
    }
    print(json.dumps({name: (shapes(model), shapes(base.components[name])) for name, model in originals.items()}))
