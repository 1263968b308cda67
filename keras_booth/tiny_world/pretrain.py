"""Make the weights of `tiny_world` from nothing: `python -m keras_booth.pretrain`.

Six stages: corpus (captioned renders), autoencoder, denoiser (text encoder and UNet), judge, encoders (of identity and
meaning, to measure with), and export. A seventh on demand, which the weights in the package have not been through, is
the decoder, refined on the latents as they are with a patch discriminator. Each can be killed at any moment: the same
command goes on, and loses a minute; judge and encoders, which take a quarter of an hour on two CPU cores, begin again.
Figures are appended to `figures.txt` in the folder of work. On a GPU all takes minutes, with `KERAS_BACKEND=jax`; on
two CPU cores days.
"""

import argparse
import json
import shutil
import time

import keras
import numpy as np
from PIL import Image

from keras_booth.bases import TINY_WORLD_IMAGE_SIZE as IMAGE_SIZE
from keras_booth.bases import TINY_WORLD_VOCABULARY as VOCABULARY
from keras_booth.bases import TINY_WORLD_WEIGHTS as WEIGHTS
from keras_booth.bases import (
    StableDiffusionBase,
    Tokenizer,
    build_decoder,
    build_image_encoder,
    global_policy,
    load_weights,
    save_weights,
    tiny_world_config,
)
from keras_booth.tiny_world.corpus import captions_of, labels_of, make_scenes, render_scenes
from keras_booth.tiny_world.encoders import ENCODERS_PATH, captions_of_pairs, make_pairs, train_encoders
from keras_booth.tiny_world.fitting import PARTS, Batches, fit
from keras_booth.tiny_world.judge import JUDGE_PATH, train_judge
from keras_booth.tiny_world.rows import filled_array
from keras_booth.tiny_world.scenes import caption
from keras_booth.tiny_world.training import (
    AutoencoderTraining,
    DecoderTraining,
    DenoiserTraining,
    normalize_latents,
)
from keras_booth.tiny_world.vocabulary import vocabulary_bytes, write_vocabulary
from keras_booth.tools.files.writing import whole_file, write_text
from keras_booth.tools.images import to_float, to_uint8

HELD_OUT = 1080  # scenes at the end of the corpus that no stage trains on
PICTURES = 16  # in a batch of the autoencoder's and the decoder's
ENCODED = 600  # pictures of a chunk that is written
AT_ONCE = 40  # pictures that an encoder or decoder takes outside of training
RECONSTRUCTED = 12_000  # pictures that the judge learns from as the autoencoder gives them back
PAIRS, HELD_OUT_PAIRS = 12_000, 600  # of renders of one look, for the encoders; each a multiple of 60
CHECK = 120  # held-out pictures that are looked at while an autoencoder trains
NORMALIZED = "autoencoder.safetensors"
REFINED = "refined.safetensors"


def note(work, text):
    """Print a line and append it to the figures."""
    print(text, flush=True)
    with open(work / "figures.txt", "a", encoding="utf-8") as file:
        file.write(text + "\n")


# === Corpus ===


def scenes_of(args):
    """All scenes, the held-out ones last."""
    return make_scenes(args.scenes + HELD_OUT, args.seed)


def pictures_of(work, args):
    """uint8 `(count, size, size, 3)`, memory-mapped."""
    return render_scenes(work / "pictures.npy", scenes_of(args), IMAGE_SIZE)


def run_corpus(work, args):
    """Render the scenes once."""
    pictures_of(work, args)


# === Autoencoder ===


def new_autoencoder(dtype="float32"):
    """`(image_encoder, decoder)` with random weights."""
    config = tiny_world_config(1).autoencoder
    with global_policy(dtype):
        return build_image_encoder(config), build_decoder(config)


def load_autoencoder(path, dtype="float32"):
    """`(image_encoder, decoder)` with the weights of a file."""
    encoder, decoder = new_autoencoder(dtype)
    load_weights({"image_encoder": encoder, "decoder": decoder}, path)
    return encoder, decoder


def pick_pictures(arrays, rows, rng):
    """Whole pictures."""
    return arrays["pictures"][rows]


def run_autoencoder(work, args):
    """Train the autoencoder, then normalize its latents."""
    if (work / NORMALIZED).exists():
        return
    model = train_autoencoder(work, args)
    encoder, decoder = new_autoencoder()
    encoder.set_weights(model.image_encoder.get_weights())
    decoder.set_weights(model.decoder.get_weights())
    pictures = pictures_of(work, args)
    channels = encoder.output.shape[-1] // 2
    means = encode_all(encoder, pictures[: 2 * HELD_OUT])[..., :channels].astype("float64")
    note(work, f"Latents before they are normalized: standard deviations {means.std((0, 1, 2)).round(2).tolist()}")
    normalize_latents(encoder, decoder, means.mean((0, 1, 2)), means.std((0, 1, 2)))
    report_reconstruction(work, "Normalized", encoder, decoder, pictures[-HELD_OUT:])
    save_weights({"image_encoder": encoder, "decoder": decoder}, work / NORMALIZED)


def train_autoencoder(work, args):
    """Train both parts from nothing. Returns the training model."""
    model = AutoencoderTraining(*new_autoencoder(args.dtype), seed=args.seed)
    pictures = pictures_of(work, args)
    began = time.time()
    encoder, decoder = new_autoencoder()  # in float32, with the averaged weights

    def watch(done, figures):
        load_weights({"image_encoder": encoder, "decoder": decoder}, work / "autoencoder" / PARTS)
        when = f"autoencoder after {done} steps, {(time.time() - began) / 3600:.2f} h of this run"
        report_reconstruction(work, when, encoder, decoder, pictures[-CHECK:], noises=())

    batches = Batches({"pictures": pictures[:-HELD_OUT]}, PICTURES, args.seed, pick_pictures)
    rate, ema = args.autoencoder_rate, 0.998
    fit(model, batches, args.autoencoder_steps, rate, work / "autoencoder", ema, watch=watch)
    return model


def reconstruct(encoder, decoder, pictures, noise=0.0):
    """uint8 pictures -> uint8 pictures, through the mean of the posterior and a little noise."""
    rng = np.random.default_rng(0)
    parts = []
    for start in range(0, len(pictures), ENCODED):
        moments = encoder.predict(to_float(pictures[start : start + ENCODED]), batch_size=AT_ONCE, verbose=0)
        means = moments[..., : moments.shape[-1] // 2]
        means = means + noise * rng.standard_normal(means.shape, "float32")
        parts.append(to_uint8(decoder.predict(means, batch_size=AT_ONCE, verbose=0)))
    return np.concatenate(parts)


def report_reconstruction(work, when, encoder, decoder, pictures, noises=(0.05, 0.1)):
    """Note the mean PSNR of held-out pictures, also with noise on the latents, and draw a sheet of the first ones."""
    seen = reconstruct(encoder, decoder, pictures)
    found = [f"{psnr(pictures, seen):.2f} dB"]
    for noise in noises:
        found.append(f"{psnr(pictures, reconstruct(encoder, decoder, pictures, noise)):.2f} with noise {noise}")
    note(work, f"{when}: held-out reconstruction {', '.join(found)} ({len(pictures)} pictures)")
    draw_sheet(work / "reconstructions.png", pictures, seen)


def draw_sheet(path, pictures, seen, across=10, rows=3):
    """Write rows by turns: pictures, and what became of them."""
    strips = [
        np.concatenate(list(some[first : first + across]), axis=1)
        for first in range(0, rows * across, across)
        for some in (pictures, seen)
    ]
    with whole_file(path) as part:
        Image.fromarray(np.concatenate(strips)).save(part)


def psnr(pictures, seen):
    """Mean peak signal-to-noise ratio of uint8 pictures, in decibels."""
    error = np.square(pictures.astype("float64") - seen).mean((1, 2, 3))
    return float(np.mean(10 * np.log10(255**2 / np.maximum(error, 1e-3))))


def encode_all(encoder, pictures):
    """Moments of uint8 pictures, as a float32 array."""
    return np.concatenate(list(encode_from(encoder, pictures, 0)))


def encode_from(encoder, pictures, start):
    """Moments of the pictures from a row on, chunk by chunk."""
    for first in range(start, len(pictures), ENCODED):
        yield encoder.predict(to_float(pictures[first : first + ENCODED]), batch_size=AT_ONCE, verbose=0)


def moments_of(work, args):
    """Moments of all pictures that stages train on, float16 and memory-mapped."""
    pictures = pictures_of(work, args)[:-HELD_OUT]
    config = tiny_world_config(1)
    shape = (len(pictures), *config.latent_size, 2 * config.autoencoder.latent_channels)

    def chunks(start):
        encoder, _ = load_autoencoder(work / NORMALIZED)
        yield from encode_from(encoder, pictures, start)

    return filled_array(work / "moments.npy", shape, "float16", chunks)


# === Denoiser ===


def new_tokenizer():
    """The tokenizer of this base."""
    return Tokenizer(vocabulary_bytes(), max_length=32)


def new_base(dtype):
    """The base with random weights."""
    tokenizer = new_tokenizer()
    return StableDiffusionBase(tiny_world_config(tokenizer.vocabulary_size), tokenizer, dtype)


def tokens_of(work, args, tokenizer):
    """Tokens of all captions that the denoiser trains on: int32 `(scenes, captions, length)`."""
    path = work / "tokens.npy"
    if not path.exists():
        captions = captions_of(scenes_of(args)[:-HELD_OUT], args.seed)
        rows = tokenizer([text for texts in captions for text in texts])
        with whole_file(path) as part:
            np.save(part, np.asarray(rows).reshape(len(captions), -1, rows.shape[-1]))
    return np.load(path)


def run_denoiser(work, args):
    """Train text encoder and UNet on the latents of the corpus."""
    base = new_base(args.dtype)
    if args.initial is not None:
        load_weights({"text_encoder": base.text_encoder, "unet": base.unet}, args.initial)
    arrays = {"moments": moments_of(work, args), "tokens": tokens_of(work, args, base.tokenizer)}

    def pick(arrays, rows, rng):
        choice = rng.integers(arrays["tokens"].shape[1], size=len(rows))
        return {"moments": arrays["moments"][rows], "tokens": arrays["tokens"][rows, choice]}

    began = time.time()

    def watch(done, figures):
        hours = (time.time() - began) / 3600
        said = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
        note(work, f"denoiser after {done} steps, {hours:.2f} h of this run: {said}")

    batches = Batches(arrays, args.batch_size, args.seed + 1, pick)
    model = DenoiserTraining(base, seed=args.seed)
    fit(model, batches, args.denoiser_steps, args.learning_rate, work / "denoiser", 0.9995, warmup=500, watch=watch)


# === Decoder ===


def run_decoder(work, args):
    """Refine the decoder on the latents that the denoiser was trained on."""
    if (work / REFINED).exists():
        return
    _, half = new_autoencoder(args.dtype)
    encoder, decoder = load_autoencoder(work / NORMALIZED)
    half.set_weights(decoder.get_weights())
    model = DecoderTraining(half, adversarial_weight=args.adversarial_weight, seed=args.seed)

    def pick(arrays, rows, rng):
        mean, _ = np.split(arrays["moments"][rows], 2, axis=-1)
        return {"latents": mean, "pictures": arrays["pictures"][rows]}

    pictures = pictures_of(work, args)
    arrays = {"moments": moments_of(work, args), "pictures": pictures[:-HELD_OUT]}
    fit(model, Batches(arrays, PICTURES, args.seed + 2, pick), args.decoder_steps, 3e-4, work / "decoder", ema=0.998)
    decoder.set_weights(half.get_weights())
    report_reconstruction(work, "Refined", encoder, decoder, pictures[-HELD_OUT:])
    save_weights({"image_encoder": encoder, "decoder": decoder}, work / REFINED)


def autoencoder_weights(work):
    """The refined autoencoder, or, before that stage, the first one."""
    return work / REFINED if (work / REFINED).exists() else work / NORMALIZED


# === Judge and export ===


def reconstructions_of(work, args, rows):
    """uint8 pictures: some of the corpus, as the autoencoder gives them back; memory-mapped."""
    pictures = pictures_of(work, args)[rows]

    def chunks(start):
        encoder, decoder = load_autoencoder(autoencoder_weights(work), args.dtype)
        for first in range(start, len(pictures), ENCODED):
            yield reconstruct(encoder, decoder, pictures[first : first + ENCODED])

    return filled_array(work / "reconstructions.npy", pictures.shape, "uint8", chunks)


def run_judge(work, args):
    """Train the judge on renders, and half as many others as reconstructions."""
    if (work / JUDGE_PATH.name).exists():
        return
    labels, third = labels_of(scenes_of(args)), min(RECONSTRUCTED, args.scenes // 3)
    seen = reconstructions_of(work, args, slice(2 * third, 3 * third))
    mixed = np.concatenate([pictures_of(work, args)[: 2 * third], seen])
    targets = {name: row[: 3 * third] for name, row in labels.items()}
    judge = train_judge(mixed, targets, steps=args.judge_steps, seed=args.seed)
    seen = reconstruct(*load_autoencoder(autoencoder_weights(work)), pictures_of(work, args)[-HELD_OUT:])
    accuracy = judge.accuracy(seen, {name: row[-HELD_OUT:] for name, row in labels.items()})
    note(work, f"Judge on held-out reconstructions: {json.dumps({k: round(v, 4) for k, v in accuracy.items()})}")
    judge.save(work / JUDGE_PATH.name)


# === Encoders ===


def run_encoders(work, args):
    """Train the encoders of identity and meaning on pairs of renders of the same look."""
    if (work / ENCODERS_PATH.name).exists():
        return
    pairs = make_pairs(PAIRS + HELD_OUT_PAIRS, args.seed)
    scenes = [scene for pair in pairs for scene in pair]
    pictures = render_scenes(work / "pairs.npy", scenes, IMAGE_SIZE).reshape(len(pairs), 2, IMAGE_SIZE, IMAGE_SIZE, 3)
    captions = captions_of_pairs(pairs, args.seed)
    encoders = train_encoders(pictures[:PAIRS], captions[:PAIRS], steps=args.encoder_steps, seed=args.seed)
    found = retrieval(encoders, pictures[PAIRS:], [caption(pair[0]) for pair in pairs[PAIRS:]])
    note(work, f"Encoders, the right one of {HELD_OUT_PAIRS} found: {json.dumps(found)}")
    encoders.save(work / ENCODERS_PATH.name)


def retrieval(encoders, pictures, captions):
    """How often the nearest of all is the partner: share of looks, and of captions that say all there is.

    Args:
        encoders: `TinyEncoders`.
        pictures: uint8 `(pairs, 2, side, side, 3)`.
        captions: list of str, of the first picture of each pair.
    """
    one, other = (encoders.images(pictures[:, index]) for index in (0, 1))
    sides = {"looks": (one["identity"], other["identity"]), "captions": (one["meaning"], encoders.texts(captions))}
    found = {}
    for name, (left, right) in sides.items():
        left, right = (side / np.linalg.norm(side, axis=-1, keepdims=True) for side in (left, right))
        found[name] = round(float(np.mean((left @ right.T).argmax(1) == np.arange(len(left)))), 4)
    return found


def run_export(work, args):
    """Write what becomes package data, in float16."""
    base = new_base("float32")
    load_weights({"text_encoder": base.text_encoder, "unet": base.unet}, work / "denoiser" / PARTS)
    load_weights({"image_encoder": base.image_encoder, "decoder": base.decoder}, autoencoder_weights(work))
    output = args.output or work / "assets"
    output.mkdir(parents=True, exist_ok=True)
    save_weights(base.components, output / WEIGHTS.name, dtype="float16")
    (output / VOCABULARY.name).write_bytes(vocabulary_bytes())
    for path in (JUDGE_PATH, ENCODERS_PATH):
        shutil.copy(work / path.name, output / path.name)


def run_vocabulary(work, args):
    """Write the vocabulary file of the package."""
    write_vocabulary()


RUNNERS = {
    "vocabulary": run_vocabulary,
    "corpus": run_corpus,
    "autoencoder": run_autoencoder,
    "denoiser": run_denoiser,
    "decoder": run_decoder,
    "judge": run_judge,
    "encoders": run_encoders,
    "export": run_export,
}


def run_stages(options: argparse.Namespace) -> None:
    """Run stages, each of which can be interrupted and run again.

    Args:
        options: namespace of the flags of `python -m keras_booth.pretrain`.
    """
    options.work.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(options.seed)
    write_text(options.work / "options.json", json.dumps(vars(options), default=str, indent=2) + "\n")
    for stage in options.stages:
        keras.utils.set_random_seed(options.seed)
        RUNNERS[stage](options.work, options)
