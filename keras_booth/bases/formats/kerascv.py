"""What KerasCV publishes: weights of Stable Diffusion 1.4 and 2.1, and CLIP's vocabulary; Keras fetches it."""

import pathlib

import keras

from keras_booth.tools.errors import CheckpointError

ROOT = "https://huggingface.co/fchollet/stable-diffusion/resolve/main/"
ROOT_2_1 = "https://huggingface.co/ianstenbit/keras-sd2.1/resolve/main/"
AUTOENCODER = {
    "image_encoder": (ROOT + "vae_encoder.h5", "c60fb220a40d090e0f86a6ab4c312d113e115c87c40ff75d11ffcf380aab7ebb"),
    "decoder": (ROOT + "kcv_decoder.h5", "ad350a65cc8bc4a80c8103367e039a3329b4231c2469a1093869a345f55b1962"),
}
# component -> (address, SHA-256), as in KerasCV's sources
WEIGHTS_1_4 = AUTOENCODER | {
    "text_encoder": (ROOT + "kcv_encoder.h5", "4789e63e07c0e54d6a34a29b45ce81ece27060c499a709d556c7755b42bb0dc4"),
    "unet": (ROOT + "kcv_diffusion_model.h5", "8799ff9763de13d7f30a683d653018e114ed24a6a819667da4f5ee10f9e805fe"),
}
WEIGHTS_2_1 = AUTOENCODER | {
    "text_encoder": (
        ROOT_2_1 + "text_encoder_v2_1.h5",
        "985002e68704e1c5c3549de332218e99c5b9b745db7171d5f31fcd9a6089f25b",
    ),
    "unet": (
        ROOT_2_1 + "diffusion_model_v2_1.h5",
        "c31730e91111f98fe0e2dbde4475d381b5287ebb9672b1821796146a25c5132d",
    ),
}
VOCABULARY = (
    "https://github.com/openai/CLIP/blob/main/clip/bpe_simple_vocab_16e6.txt.gz?raw=true",
    "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a",
)


def _fetch(name, origin, digest):
    try:
        return keras.utils.get_file(name, origin, file_hash=digest)
    # `get_file` wraps whatever the connection raised in a bare Exception.
    except Exception as error:
        raise CheckpointError(
            f"{name} could not be fetched: connect to the network, or put the file into ~/.keras/datasets. "
            f"Received: {origin} ({error})"
        ) from error


def clip_vocabulary():
    """CLIP's vocabulary: bytes of a gzipped BPE merge list."""
    return pathlib.Path(_fetch("bpe_simple_vocab_16e6.txt.gz", *VOCABULARY)).read_bytes()


def load_kerascv_weights(base, weights):
    """Load KerasCV's files into a base of their size.

    Args:
        base: `StableDiffusionBase`.
        weights: `WEIGHTS_1_4` or `WEIGHTS_2_1`.
    """
    for component, (origin, digest) in weights.items():
        base.components[component].load_weights(_fetch(origin.rpartition("/")[2], origin, digest))
