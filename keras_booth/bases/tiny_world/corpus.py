"""Many captioned renders of the tiny world, as arrays."""

import concurrent.futures

import numpy as np

from keras_booth.bases.tiny_world.scenes import labels, random_caption, random_scene, render
from keras_booth.bases.tiny_world.vocabulary import RARE_IDENTIFIERS

CAPTIONS = 8  # a scene, so that the denoiser meets each with different parts left out
IDENTIFIER_RATE = 0.03
BARE_RATE = 0.1
CHUNK = 500


def vary(text, rng):
    """Now and then add a rare identifier, which so gets an embedding but no meaning, or drop "a photo of"."""
    if rng.random() < IDENTIFIER_RATE:
        _, _, _, _, rest = text.split(" ", 4)
        text = f"a photo of {rng.choice(RARE_IDENTIFIERS)} {rest}"
    return text.removeprefix("a photo of ") if rng.random() < BARE_RATE else text


def _chunk(task):
    seed, index, size = task
    rng = np.random.default_rng([seed, index])
    scenes = [random_scene(rng) for _ in range(CHUNK)]
    pictures = np.stack([render(scene, size) for scene in scenes])
    captions = [[vary(random_caption(scene, rng), rng) for _ in range(CAPTIONS)] for scene in scenes]
    return pictures, captions, [labels(scene) for scene in scenes]


def make_corpus(count, size, seed, workers=2):
    """Render random scenes, in parallel.

    Args:
        count: int. Number of scenes, rounded up to a multiple of 500.
        size: int. Side of the pictures in pixels.
        seed: int.
        workers: int. Number of processes.

    Returns:
        `(pictures, captions, labels)`: uint8 `(count, size, size, 3)`, a list of lists of str, and a dict of int32
        `(count,)`, the index of each attribute's value.
    """
    tasks = [(seed, index, size) for index in range(-(-count // CHUNK))]
    with concurrent.futures.ProcessPoolExecutor(workers) as pool:
        chunks = list(pool.map(_chunk, tasks))
    pictures = np.concatenate([pictures for pictures, _, _ in chunks])
    captions = [row for _, rows, _ in chunks for row in rows]
    rows = [row for _, _, rows in chunks for row in rows]
    return pictures, captions, {name: np.array([row[name] for row in rows], "int32") for name in rows[0]}
