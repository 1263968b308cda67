"""Many captioned renders of the tiny world."""

import concurrent.futures
import functools
import itertools

import numpy as np

from keras_booth.tiny_world.rows import filled_array
from keras_booth.tiny_world.scenes import ATTRIBUTES, labels, random_caption, random_scene, render
from keras_booth.tiny_world.vocabulary import RARE_IDENTIFIERS

CAPTIONS = 8  # a scene, so that the denoiser meets each with different parts left out
IDENTIFIER_RATE = 0.04
BARE_RATE = 0.1
PAIRS = tuple(itertools.product(ATTRIBUTES["class_noun"], ATTRIBUTES["setting"]))
CHUNK = len(PAIRS)


def make_scenes(count, seed):
    """Random scenes, in whose every `CHUNK` each class stands once in each setting.

    Args:
        count: int. A multiple of `CHUNK`.
        seed: int.

    Returns:
        list of `Scene`.
    """
    if count % CHUNK:
        raise ValueError(f"count must be a multiple of {CHUNK}. Received: count={count}")
    scenes = []
    for index in range(count // CHUNK):
        rng = np.random.default_rng([seed, index])
        for pair in rng.permutation(CHUNK):
            class_noun, setting = PAIRS[pair]
            scenes.append(random_scene(rng, class_noun=class_noun, setting=setting))
    return scenes


def render_scenes(path, scenes, size, workers=None):
    """Pictures of scenes, rendered once and kept on disk; rendering goes on where it was interrupted.

    Args:
        path: `Path` of the `.npy` file.
        scenes: list of `Scene`.
        size: int. Side of the pictures in pixels.
        workers: int, the number of processes; as many as there are cores if left out.

    Returns:
        uint8 `(count, size, size, 3)`, memory-mapped.
    """

    def chunks(start):
        parts = [scenes[first : first + CHUNK] for first in range(start, len(scenes), CHUNK)]
        with concurrent.futures.ProcessPoolExecutor(workers) as pool:
            yield from pool.map(functools.partial(_render_all, size=size), parts)

    return filled_array(path, (len(scenes), size, size, 3), "uint8", chunks)


def _render_all(scenes, size):
    return np.stack([render(scene, size) for scene in scenes])


def vary(text, rng):
    """Now and then add a rare identifier, which so gets an embedding but no meaning, or drop "a photo of"."""
    if rng.random() < IDENTIFIER_RATE:
        _, _, _, _, rest = text.split(" ", 4)
        text = f"a photo of {RARE_IDENTIFIERS[rng.integers(len(RARE_IDENTIFIERS))]} {rest}"
    return text.removeprefix("a photo of ") if rng.random() < BARE_RATE else text


def captions_of(scenes, seed):
    """For each scene a list of `CAPTIONS` captions, of which each says other parts."""
    rng = np.random.default_rng([seed, CHUNK])
    return [[vary(random_caption(scene, rng), rng) for _ in range(CAPTIONS)] for scene in scenes]


def labels_of(scenes):
    """dict of int32 `(count,)`: the index of each attribute's value."""
    rows = [labels(scene) for scene in scenes]
    return {name: np.array([row[name] for row in rows], "int32") for name in rows[0]}
