"""Subjects and prompts of the tiny world, to measure with, and how well a base follows its prompts."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from keras_booth.tiny_world import ATTRIBUTES, CAPTION_PARTS, Judge, Look, Scene, caption, random_scene, render

IDENTITY = ("class_noun", "main_color", "second_color", "pattern", "accessory")
VARIETY = ("main_color", "second_color", "pattern", "accessory")

# One of each class, every color, pattern and accessory among them.
SUBJECTS = (
    Look("dog", "orange", "blue", "spotted", "scarf", 0.2, 0.1),
    Look("cat", "purple", "white", "striped", "glasses", -0.4, 0.3),
    Look("rabbit", "blue", "yellow", "plain", "hat", 0.5, -0.2),
    Look("turtle", "red", "white", "spotted", "none", 0.0, 0.4),
    Look("teapot", "white", "green", "striped", "hat", 0.3, 0.0),
    Look("backpack", "yellow", "black", "spotted", "glasses", -0.3, -0.3),
    Look("duck", "green", "orange", "plain", "scarf", 0.4, 0.3),
    Look("vase", "black", "red", "striped", "none", -0.2, 0.0),
    Look("car", "purple", "yellow", "striped", "scarf", 0.1, -0.1),
    Look("boot", "orange", "purple", "plain", "hat", 0.0, 0.2),
)
PHOTO_SETTINGS = (
    "on top of pink fabric",
    "with a wheat field in the background",
    "with a blue house in the background",
    "on a cobblestone street",
)
PROMPT_SETTINGS = tuple(setting for setting in ATTRIBUTES["setting"] if setting not in PHOTO_SETTINGS)


def base_prompts(count: int, seed: int = 0) -> tuple[list[str], dict[str, list[str | None]]]:
    """Random captions with what they ask for: each names class, main color and setting, every other one all there is.

    Returns:
        `(prompts, wanted)`: a list of `count` str, and a dict of lists, with `None` for what a prompt leaves open.
    """
    rng = np.random.default_rng(seed)
    scenes = [random_scene(rng) for _ in range(count)]
    prompts = [caption(scene, CAPTION_PARTS if i % 2 else ("color", "setting")) for i, scene in enumerate(scenes)]
    wanted = {name: [getattr(scene.look, name) for scene in scenes] for name in IDENTITY}
    wanted["setting"] = [scene.setting for scene in scenes]
    for name in ("second_color", "pattern", "accessory"):
        wanted[name][::2] = [None] * len(wanted[name][::2])
    wanted["accessory"] = [None if value == "none" else value for value in wanted["accessory"]]
    return prompts, wanted


def agreement(judge: Judge, pictures: ArrayLike, wanted: Mapping[str, Sequence[str | None]]) -> dict[str, float]:
    """Share of pictures in which the judge reads what is wanted.

    Args:
        judge: `Judge`.
        pictures: uint8 `(count, H, W, 3)`.
        wanted: dict of lists of value names, by attribute; a picture of which `None` is wanted does not count.

    Returns:
        dict of float in [0, 1], by attribute, without those of which nothing is wanted.
    """
    read, shares = judge.predict(pictures), {}
    for name, values in wanted.items():
        right = [seen == value for seen, value in zip(read[name], values, strict=True) if value is not None]
        if right:
            shares[name] = float(np.mean(right))
    return shares


def render_photos(look: Look, folder: pathlib.Path, size: int = 192, prompt: str | None = None) -> pathlib.Path:
    """Photographs of a subject, one in each of `PHOTO_SETTINGS`, as PNG files.

    Args:
        look: `Look`.
        folder: `Path`.
        size: int. Side of the photographs in pixels.
        prompt: str. What captions beside them begin with, which then name the setting; `None` for no captions.

    Returns:
        the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for index, setting in enumerate(PHOTO_SETTINGS):
        picture = render(Scene(look, setting, seed=index), size)
        Image.fromarray(picture).save(folder / f"{index:02d}.png")
        if prompt is not None:
            (folder / f"{index:02d}.txt").write_text(f"{prompt} {setting}\n")
    return folder


def load_judge() -> Judge:
    """The `Judge` that ships with the package."""
    return Judge.load()
