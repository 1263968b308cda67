"""Makes the two files beside it with a checkout of commit 566c654: `python make_old.py CHECKOUT`."""

import gzip
import pathlib
import sys

import keras
import numpy as np

HERE = pathlib.Path(__file__).parent


def small_booth():
    """A model of random weights, with LoRA on the text encoder too, compiled."""
    from keras_booth.bases.autoencoder import AutoencoderConfig
    from keras_booth.bases.text_encoder import TextEncoderConfig
    from keras_booth.bases.tiny_world.config import VOCABULARY
    from keras_booth.bases.unet import UNetConfig

    from keras_booth.bases import BaseConfig, StableDiffusionBase, Tokenizer
    from keras_booth.diffusion import NoiseSchedule
    from keras_booth.dreambooth import DreamBooth, LoraConfig

    config = BaseConfig(
        name="small",
        image_size=8,
        text_encoder=TextEncoderConfig(vocabulary_size=1211, max_length=12, width=32, layers=1, heads=2),
        unet=UNetConfig(widths=(32,), heads=(2,), context_width=32, blocks_per_level=1, time_features=32),
        autoencoder=AutoencoderConfig(widths=(32,), encoder_blocks=1, decoder_blocks=1),
        schedule=NoiseSchedule(prediction_type="v_prediction"),
        sampling_steps=3,
        guidance_scale=2.0,
    )
    keras.utils.set_random_seed(0)
    base = StableDiffusionBase(config, Tokenizer(VOCABULARY.read_bytes(), max_length=12), "float32")
    lora = LoraConfig(2, 4.0, ("attention", "convolution"))
    booth = DreamBooth(base, dtype="float32", identifier="zwx", class_noun="cat", train_text_encoder=True, lora=lora)
    rng = np.random.default_rng(0)
    for layer in booth.adapters.layers.values():
        layer.lora_kernel_b.assign(0.3 * rng.standard_normal(layer.lora_kernel_b.shape).astype("float32"))
    booth.compile(keras.optimizers.AdamW(1e-3), prior_loss_weight=0.5, min_snr_gamma=5.0)
    return booth


def main(checkout):
    """Saves the model, opens the file, and keeps what it draws."""
    sys.path.insert(0, checkout)
    path = HERE / "saved.keras"
    small_booth().save(path, dtype="float16")
    pictures = keras.saving.load_model(path).generate(["a photo of zwx cat", "a photo of a cat"], count=2, seed=3)
    np.save(HERE / "drawn_by_566c654.npy", pictures)
    (HERE / "saved_by_566c654.keras.gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))
    path.unlink()


if __name__ == "__main__":
    main(sys.argv[1])
