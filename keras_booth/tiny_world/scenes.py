"""Scenes of the tiny world: what is in a picture, how it looks, and what its caption says."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_booth.bases import TINY_WORLD_IMAGE_SIZE as IMAGE_SIZE
from keras_booth.tiny_world.art.accessories import draw_accessory
from keras_booth.tiny_world.art.backdrops import BACKDROPS, draw_backdrop
from keras_booth.tiny_world.art.canvas import Canvas
from keras_booth.tiny_world.art.subjects import COLORS, DRAWERS, draw_subject
from keras_booth.tools.errors import InputError

ATTRIBUTES = {
    "class_noun": tuple(DRAWERS),
    "main_color": tuple(COLORS),
    "second_color": tuple(COLORS),
    "pattern": ("plain", "striped", "spotted"),
    "accessory": ("none", "hat", "scarf", "glasses"),
    "setting": tuple(BACKDROPS),
}
CAPTION_PARTS = ("color", "pattern", "accessory", "setting")
SUBJECT_SCALE = 0.325  # of the picture's side, for one of the subject's two units of height
GROUND = 0.88


@dataclass(frozen=True)
class Look:
    """What a subject looks like: its identity.

    Args:
        class_noun: One of `ATTRIBUTES["class_noun"]`.
        main_color: Color of its largest part.
        second_color: Color of its pattern and of some fixed parts; never the main color.
        pattern: One of `ATTRIBUTES["pattern"]`.
        accessory: One of `ATTRIBUTES["accessory"]`.
        girth: From -1 (slim) to 1 (chubby).
        head: From -1 to 1, the size of the head, lid, cuff, ...

    Example:

    ```python
    look = Look("dog", "orange", "white", pattern="spotted", accessory="scarf")
    picture = render(Scene(look, "in the snow", seed=0))
    ```
    """

    class_noun: str
    main_color: str
    second_color: str
    pattern: str
    accessory: str
    girth: float = 0.0
    head: float = 0.0

    def __post_init__(self):
        for attribute in ("class_noun", "main_color", "second_color", "pattern", "accessory"):
            _check(attribute, getattr(self, attribute))
        if self.second_color == self.main_color:
            raise InputError(f"second_color must differ from main_color. Received: second_color={self.second_color!r}")
        for name in ("girth", "head"):
            if not -1 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must be in [-1, 1]. Received: {name}={getattr(self, name)}")


@dataclass(frozen=True)
class Scene:
    """A subject in a setting.

    Args:
        look: The subject's `Look`.
        setting: One of `ATTRIBUTES["setting"]`.
        seed: Integer that fixes place, size and mirroring of the subject and the details of the backdrop.
    """

    look: Look
    setting: str
    seed: int

    def __post_init__(self):
        _check("setting", self.setting)


def random_look(rng: np.random.Generator, **fixed: Any) -> Look:
    """Draws a look.

    Args:
        rng: NumPy `Generator`.
        **fixed: Fields of `Look` that are given and not drawn.
    """
    drawn = {}
    for attribute in ("class_noun", "main_color", "second_color", "pattern"):
        taken = {fixed.get("main_color", drawn.get("main_color"))} if attribute == "second_color" else set()
        if attribute == "main_color" and "main_color" not in fixed:
            taken = {fixed.get("second_color")}
        names = [name for name in ATTRIBUTES[attribute] if name not in taken]
        drawn[attribute] = names[rng.integers(len(names))]
    drawn["accessory"] = str(rng.choice(ATTRIBUTES["accessory"], p=(0.4, 0.2, 0.2, 0.2)))
    drawn["girth"], drawn["head"] = (round(float(value), 3) for value in rng.uniform(-1, 1, 2))
    return Look(**(drawn | fixed))


def random_scene(rng: np.random.Generator, **fixed: Any) -> Scene:
    """Draws a scene.

    Args:
        rng: NumPy `Generator`.
        **fixed: Fields of `Scene` or of `Look` that are given and not drawn.
    """
    scene = {name: fixed.pop(name) for name in ("look", "setting", "seed") if name in fixed}
    if "look" in scene and fixed:
        raise InputError(f"look is given, so its fields cannot be. Received: {fixed}")
    look = random_look(rng, **fixed)
    setting = ATTRIBUTES["setting"][rng.integers(len(ATTRIBUTES["setting"]))]
    return Scene(**({"look": look, "setting": setting, "seed": int(rng.integers(2**31))} | scene))


def render(scene: Scene, size: int = IMAGE_SIZE) -> np.ndarray:
    """Draws a scene.

    Args:
        scene: The `Scene`.
        size: Side of the picture in pixels.

    Returns:
        A uint8 array of shape `(size, size, 3)`; the same scene always gives the same pixels.
    """
    rng = np.random.default_rng(scene.seed)
    dx, dy = rng.uniform(-0.05, 0.05), rng.uniform(-0.05, 0.04)
    zoom, mirror = rng.uniform(0.94, 1.06), rng.choice((-1, 1))
    canvas = Canvas(size)
    draw_backdrop(canvas, scene.setting, rng)
    pen = canvas.pen().at(0.5 + dx, GROUND + dy, SUBJECT_SCALE * zoom, mirror)
    pen.shadow(0, -0.02, 1.1, 0.16)
    anchors = draw_subject(pen, scene.look)
    draw_accessory(scene.look.accessory, anchors)
    return canvas.array()


def caption(scene: Scene, parts: Collection[str] = CAPTION_PARTS) -> str:
    """Describes a scene in words.

    Args:
        scene: The `Scene`.
        parts: What to say: any of `"color"`, `"pattern"`, `"accessory"` and `"setting"`. The pattern says the second
            color too; a plain subject's second color is said only beside the first.
    """
    look = scene.look
    words = [look.class_noun]
    if "color" in parts:
        both = "pattern" in parts and look.pattern == "plain"
        words = [look.main_color] + (["and", look.second_color] if both else []) + words
    words = ["a photo of", "an" if words[0][0] in "aeiou" else "a", *words]
    if "pattern" in parts and look.pattern != "plain":
        words += ["with", look.second_color, {"striped": "stripes", "spotted": "spots"}[look.pattern]]
    if "accessory" in parts and look.accessory != "none":
        words += ["wearing", look.accessory if look.accessory == "glasses" else f"a {look.accessory}"]
    if "setting" in parts:
        words.append(scene.setting)
    return " ".join(words)


def random_caption(scene: Scene, rng: np.random.Generator) -> str:
    """Describes a scene in words, with parts left out at random."""
    chances = zip(CAPTION_PARTS, (0.7, 0.65, 0.75, 0.8), rng.random(len(CAPTION_PARTS)), strict=True)
    return caption(scene, tuple(part for part, chance, draw in chances if draw < chance))


def labels(scene: Scene) -> dict[str, int]:
    """Returns the index of each attribute's value in `ATTRIBUTES`."""
    values = {name: getattr(scene.look, name) for name in ATTRIBUTES if name != "setting"} | {"setting": scene.setting}
    return {name: ATTRIBUTES[name].index(values[name]) for name in ATTRIBUTES}


def _check(attribute, value):
    if value not in ATTRIBUTES[attribute]:
        raise InputError(f"{attribute} must be one of {ATTRIBUTES[attribute]}. Received: {attribute}={value!r}")
