"""Make the weights of `tiny_world` from nothing: `python -m keras_booth.bases.tiny_world.pretrain`.

Six stages, each of which can be interrupted and run again: corpus (captioned renders), autoencoder, denoiser (text
encoder and UNet), decoder (refined on the latents as they are), judge, and export into the package data. On two CPU
cores they take a few hours, on a GPU minutes (`KERAS_BACKEND=jax` works too).
"""

import argparse
import pathlib
import shutil

import keras
import numpy as np

from keras_booth.bases.autoencoder import build_decoder, build_image_encoder
from keras_booth.bases.base import StableDiffusionBase, global_policy
from keras_booth.bases.machine import prefers_jit
from keras_booth.bases.pipeline import to_uint8
from keras_booth.bases.tiny_world.config import ASSETS, IMAGE_SIZE, JUDGE, VOCABULARY, WEIGHTS, tiny_world_config
from keras_booth.bases.tiny_world.corpus import make_corpus
from keras_booth.bases.tiny_world.judge import train_judge
from keras_booth.bases.tiny_world.training import (
    AutoencoderTraining,
    DecoderTraining,
    DenoiserTraining,
    normalize_latents,
)
from keras_booth.bases.tokenizer import Tokenizer
from keras_booth.bases.weights import load_weights, save_weights

EPOCH_STEPS = 250
HELD_OUT = 1000  # scenes at the end of the corpus that no stage trains on


class Batches(keras.utils.PyDataset):
    """Endless random batches, a function of the seed and the epoch alone.

    Args:
        arrays: dict of arrays with the same first axis, or one array.
        batch_size: int.
        seed: int.
        pick: callable `(arrays, rows, rng) -> batch`.
    """

    def __init__(self, arrays, batch_size, seed, pick):
        super().__init__()
        self.arrays, self.batch_size, self.seed, self.pick = arrays, batch_size, seed, pick
        self.epoch = 0

    def __len__(self):
        return EPOCH_STEPS

    def __getitem__(self, index):
        rng = np.random.default_rng([self.seed, self.epoch, index])
        count = len(next(iter(self.arrays.values())))
        return (self.pick(self.arrays, rng.integers(count, size=self.batch_size), rng),)


def train(model, batches, steps, learning_rate, work, ema, warmup=100):
    """Fit with warm-up, cosine decay and a backup after every epoch, from which a later call goes on."""
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(steps - warmup, 1), warmup_target=learning_rate, warmup_steps=min(warmup, steps), alpha=0.01
    )
    model.compile(
        optimizer=keras.optimizers.AdamW(
            schedule,
            weight_decay=0.01,
            beta_2=0.99,
            global_clipnorm=1.0,
            use_ema=True,
            ema_momentum=ema,
        ),
        jit_compile="auto" if prefers_jit() else False,
    )

    def follow(epoch, logs=None):
        batches.epoch = epoch

    def keep(epoch, logs=None):
        save_weights(model_parts(model), work / "parts.safetensors")

    callbacks = [
        keras.callbacks.BackupAndRestore(work / "backup", delete_checkpoint=False),
        keras.callbacks.LambdaCallback(on_epoch_begin=follow),
        keras.callbacks.CSVLogger(work / "log.csv", append=True),
        # What follows the swap sees the averaged weights, which are those to keep for the next stage.
        keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
        keras.callbacks.LambdaCallback(on_epoch_end=keep),
    ]
    work.mkdir(parents=True, exist_ok=True)
    model(batches[0][0])  # the backup wants a model that has been called
    model.fit(batches, epochs=-(-steps // EPOCH_STEPS), callbacks=callbacks, verbose=2)


def model_parts(model):
    """The trained `keras.Model`s of a training model by name."""
    return {layer.name: layer for layer in model.layers if isinstance(layer, keras.Model)}


def run_corpus(work, args):
    """Render the scenes once."""
    path = work / "corpus.npz"
    if not path.exists():
        pictures, captions, labels = make_corpus(args.scenes + HELD_OUT, IMAGE_SIZE, args.seed)
        np.savez(work / "corpus-part.npz", pictures=pictures, captions=np.array(captions), **labels)
        (work / "corpus-part.npz").rename(path)
    return path


def run_autoencoder(work, args):
    """Train the autoencoder, then normalize its latents."""
    corpus = np.load(work / "corpus.npz")
    pictures = corpus["pictures"]
    config = tiny_world_config(1).autoencoder
    with global_policy(args.dtype):
        model = AutoencoderTraining(build_image_encoder(config), build_decoder(config), seed=args.seed)

    def pick(arrays, rows, rng):
        return arrays["pictures"][rows].astype("float32") / 127.5 - 1.0

    batches = Batches({"pictures": pictures[:-HELD_OUT]}, 16, args.seed, pick)
    train(model, batches, args.autoencoder_steps, 2e-3, work / "autoencoder", ema=0.998)
    with global_policy("float32"):
        encoder, decoder = build_image_encoder(config), build_decoder(config)
    encoder.set_weights(model.image_encoder.get_weights())
    decoder.set_weights(model.decoder.get_weights())
    moments = encode_all(encoder, pictures[: 4 * HELD_OUT])
    means = moments[..., : config.latent_channels].astype("float64")
    normalize_latents(encoder, decoder, means.mean((0, 1, 2)), means.std((0, 1, 2)))
    report_reconstruction(encoder, decoder, pictures[-HELD_OUT:])
    save_weights({"image_encoder": encoder, "decoder": decoder}, work / "autoencoder.safetensors")


def reconstruct(encoder, decoder, pictures):
    """uint8 pictures -> uint8 pictures, through the mean of the posterior."""
    moments = encode_all(encoder, pictures)
    return to_uint8(decoder.predict(moments[..., : moments.shape[-1] // 2], verbose=0))


def report_reconstruction(encoder, decoder, pictures):
    """Print the mean PSNR of held-out pictures."""
    error = pictures.astype("float64") - reconstruct(encoder, decoder, pictures)
    psnr = 10 * np.log10(255**2 / np.square(error).mean((1, 2, 3)))
    print(f"Held-out reconstruction: {psnr.mean():.2f} dB PSNR", flush=True)


def encode_all(encoder, pictures):
    """Moments of uint8 pictures, as a float32 array."""
    chunks = [pictures[start : start + 500].astype("float32") / 127.5 - 1.0 for start in range(0, len(pictures), 500)]
    return np.concatenate([encoder.predict(chunk, verbose=0) for chunk in chunks])


def run_denoiser(work, args):
    """Train text encoder and UNet on the latents of the corpus."""
    base = StableDiffusionBase(*tiny_world_description(), dtype=args.dtype)
    load_weights({"image_encoder": base.image_encoder, "decoder": base.decoder}, work / "autoencoder.safetensors")
    if args.initial is not None:
        load_weights({"text_encoder": base.text_encoder, "unet": base.unet}, args.initial)
    corpus = np.load(work / "corpus.npz")
    latents = work / "latents.npy"
    if not latents.exists():
        np.save(
            work / "latents-part.npy", encode_all(base.image_encoder, corpus["pictures"][:-HELD_OUT]).astype("float16")
        )
        (work / "latents-part.npy").rename(latents)
    captions = corpus["captions"][:-HELD_OUT]
    tokens = base.tokenizer(list(captions.reshape(-1))).reshape(*captions.shape, -1)

    def pick(arrays, rows, rng):
        mean, log_variance = np.split(arrays["moments"][rows].astype("float32"), 2, axis=-1)
        noise = rng.standard_normal(mean.shape, "float32")
        choice = rng.integers(captions.shape[1], size=len(rows))
        return {"latents": mean + np.exp(0.5 * log_variance) * noise, "tokens": arrays["tokens"][rows, choice]}

    batches = Batches({"moments": np.load(latents), "tokens": tokens}, args.batch_size, args.seed + 1, pick)
    model = DenoiserTraining(base, seed=args.seed)
    train(model, batches, args.denoiser_steps, args.learning_rate, work / "denoiser", ema=0.999, warmup=300)


def run_decoder(work, args):
    """Refine the decoder on the latents that the denoiser was trained on."""
    config = tiny_world_config(1).autoencoder
    with global_policy(args.dtype):
        model = DecoderTraining(build_decoder(config), seed=args.seed)
    with global_policy("float32"):
        encoder, decoder = build_image_encoder(config), build_decoder(config)
    load_weights({"image_encoder": encoder, "decoder": decoder}, work / "autoencoder.safetensors")
    model.decoder.set_weights(decoder.get_weights())
    pictures = np.load(work / "corpus.npz")["pictures"]

    def pick(arrays, rows, rng):
        mean, _ = np.split(arrays["moments"][rows].astype("float32"), 2, axis=-1)
        return {"latents": mean, "pictures": arrays["pictures"][rows].astype("float32") / 127.5 - 1.0}

    arrays = {"moments": np.load(work / "latents.npy"), "pictures": pictures[:-HELD_OUT]}
    train(model, Batches(arrays, 16, args.seed + 2, pick), args.decoder_steps, 5e-4, work / "decoder", ema=0.998)
    decoder.set_weights(model.decoder.get_weights())
    report_reconstruction(encoder, decoder, pictures[-HELD_OUT:])
    save_weights({"image_encoder": encoder, "decoder": decoder}, work / "refined.safetensors")


def autoencoder_weights(work):
    """The refined autoencoder, or, before that stage, the first one."""
    refined = work / "refined.safetensors"
    return refined if refined.exists() else work / "autoencoder.safetensors"


def run_judge(work, args):
    """Train the judge on renders and their reconstructions, half and half."""
    corpus = np.load(work / "corpus.npz")
    labels = {name: corpus[name] for name in corpus.files if name not in ("pictures", "captions")}
    config = tiny_world_config(1).autoencoder
    with global_policy("float32"):
        encoder, decoder = build_image_encoder(config), build_decoder(config)
    load_weights({"image_encoder": encoder, "decoder": decoder}, autoencoder_weights(work))
    pictures = corpus["pictures"]
    train_part, held_out = slice(0, args.scenes // 2), slice(len(pictures) - HELD_OUT, None)
    doubled = np.concatenate([pictures[: args.scenes], reconstruct(encoder, decoder, pictures[train_part])])
    targets = {name: np.concatenate([row[: args.scenes], row[train_part]]) for name, row in labels.items()}
    judge = train_judge(doubled, targets, steps=args.judge_steps, seed=args.seed)
    seen = reconstruct(encoder, decoder, pictures[held_out])
    print(
        "Judge on held-out reconstructions:",
        judge.accuracy(seen, {name: row[held_out] for name, row in labels.items()}),
    )
    judge.save(work / JUDGE.name)


def run_export(work, args):
    """Write the package data in float16."""
    base = StableDiffusionBase(*tiny_world_description(), dtype="float32")
    load_weights({"text_encoder": base.text_encoder, "unet": base.unet}, work / "denoiser" / "parts.safetensors")
    load_weights({"image_encoder": base.image_encoder, "decoder": base.decoder}, autoencoder_weights(work))
    args.output.mkdir(parents=True, exist_ok=True)
    save_weights(base.components, args.output / WEIGHTS.name, dtype="float16")
    if (work / JUDGE.name).exists():
        shutil.copy(work / JUDGE.name, args.output / JUDGE.name)


def tiny_world_description():
    """`(config, tokenizer)` of the base."""
    tokenizer = Tokenizer(VOCABULARY.read_bytes(), max_length=32)
    return tiny_world_config(tokenizer.vocabulary_size), tokenizer


RUNNERS = {
    "corpus": run_corpus,
    "autoencoder": run_autoencoder,
    "denoiser": run_denoiser,
    "decoder": run_decoder,
    "judge": run_judge,
    "export": run_export,
}


def make_parser():
    """The parser of this command."""
    parser = argparse.ArgumentParser(prog="python -m keras_booth.bases.tiny_world.pretrain", description=__doc__)
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("build/tiny_world"))
    parser.add_argument("--stages", nargs="+", choices=RUNNERS, default=list(RUNNERS))
    parser.add_argument("--scenes", type=int, default=20000)
    parser.add_argument("--autoencoder-steps", type=int, default=2500)
    parser.add_argument("--denoiser-steps", type=int, default=20000)
    parser.add_argument("--decoder-steps", type=int, default=4000)
    parser.add_argument("--judge-steps", type=int, default=4500)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--initial", type=pathlib.Path, help="parts.safetensors that the denoiser stage starts from")
    parser.add_argument("--dtype", default="mixed_bfloat16")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=pathlib.Path, default=ASSETS)
    return parser


def main(argv=None):
    """Parse the command line and run the stages."""
    args = make_parser().parse_args(argv)
    args.work.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(args.seed)
    for stage in args.stages:
        RUNNERS[stage](args.work, args)


if __name__ == "__main__":
    main()
