"""The weights in the package: what its autoencoder keeps of a picture, and what the base makes of prompts."""

import numpy as np
import pytest

from keras_booth.bases import load_base, rare_identifiers
from keras_booth.dreambooth import DreamBooth
from keras_booth.evaluation import agreement, base_prompts, load_judge
from keras_booth.tiny_world import TinyEncoders, random_scene, render
from keras_booth.tiny_world.encoders import make_pairs
from keras_booth.tiny_world.pretrain import retrieval
from keras_booth.tiny_world.scenes import caption
from keras_booth.tools.images import to_float, to_uint8

FRESH = 2_000_000  # seeds of no corpus


def reconstruction(count):
    """Mean PSNR in decibels of fresh renders, 8 at a time."""
    base = load_base("tiny_world")
    found = []
    for first in range(0, count, 8):
        scenes = [random_scene(np.random.default_rng(FRESH + first + index)) for index in range(min(8, count - first))]
        pictures = np.stack([render(scene, base.config.image_size[0]) for scene in scenes])
        seen = to_uint8(np.asarray(base.decode(base.encode(to_float(pictures)))))
        error = np.square(pictures.astype("float64") - seen).mean((1, 2, 3))
        found += list(10 * np.log10(255**2 / error))
    return np.mean(found)


@pytest.mark.parametrize("count", [16, pytest.param(500, marks=pytest.mark.large)])
def test_autoencoder(count):
    assert reconstruction(count) >= 30


@pytest.mark.parametrize("count", [8, pytest.param(400, marks=pytest.mark.huge)])
def test_prompts(count):
    """By the judge: class, main color and setting of every picture; what half of the prompts name besides."""
    prompts, wanted = base_prompts(count, seed=1)
    found = agreement(load_judge(), DreamBooth.from_preset("tiny_world").generate(prompts), wanted)
    limits = dict.fromkeys(found, 0.95) | dict.fromkeys(("class_noun", "main_color", "setting"), 0.99)
    if count < 100:
        limits = dict.fromkeys(found, 0.75)  # one of eight, or of those that name it
    assert {name: share for name, share in found.items() if share < limits[name]} == {}


def test_encoders():
    """Of sixty looks, each is found in another setting; of sixty captions, each picture that it describes."""
    pairs = make_pairs(60, FRESH)
    pictures = np.stack([np.stack([render(scene) for scene in pair]) for pair in pairs])
    found = retrieval(TinyEncoders.load(), pictures, [caption(pair[0]) for pair in pairs])
    assert found["looks"] >= 0.95 and found["captions"] >= 0.95, found


def test_rare_identifiers_are_told_apart():
    """Of thirty, each is found again by its embedding in another prompt."""
    base = load_base("tiny_world")
    words = rare_identifiers(base.tokenizer, 30)

    def embeddings(prompt):
        tokens = base.tokenizer([prompt.format(word) for word in words])
        places = [list(row).index(base.tokenizer.pieces(word)[0]) for row, word in zip(tokens, words, strict=True)]
        found = np.asarray(base.text_encoder(tokens))[np.arange(len(words)), places]
        return found / np.linalg.norm(found, axis=-1, keepdims=True)

    one, other = embeddings("a photo of {} dog"), embeddings("a photo of {} cat in the snow")
    assert len(set(words)) == 30
    assert list((one @ other.T).argmax(axis=1)) == list(range(30))
