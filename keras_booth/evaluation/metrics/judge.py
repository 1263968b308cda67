"""What the judge of the tiny world reads: whether it is the subject, where it is, and what became of its class."""

from __future__ import annotations

import collections
from collections.abc import Callable, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from keras_booth.evaluation.intervals import SHARE, Estimate, estimate_pairs, estimate_share
from keras_booth.evaluation.metrics.metric import CLASS, SUBJECT
from keras_booth.evaluation.metrics.similarity import require_pairs
from keras_booth.evaluation.tiny_world import IDENTITY, VARIETY
from keras_booth.tiny_world import ATTRIBUTES, Judge
from keras_booth.tools.errors import InputError

SOURCE = "keras_booth's own classifier of the tiny world"


def read(judge: Judge, pictures: Sequence[ArrayLike]) -> dict[str, np.ndarray]:
    """What the judge reads, by attribute; pictures of another size are brought to its own."""
    side = judge.model.input_shape[1]
    fitting = [np.asarray(Image.fromarray(np.asarray(picture)).resize((side, side), 1)) for picture in pictures]
    return {name: np.array(values) for name, values in judge.predict(np.stack(fitting)).items()}


def look_of(judge: Judge, references: Sequence[ArrayLike]) -> dict[str, str]:
    """What most of the photographs show, by attribute.

    Raises:
        InputError: for no photographs.
    """
    if not len(references):
        raise InputError("The judge needs photographs of the subject. Received: 0 photographs")
    seen = read(judge, references)
    return {name: collections.Counter(seen[name].tolist()).most_common(1)[0][0] for name in IDENTITY}


class _OfJudge:
    """What both have in common: the judge, loaded once."""

    source = SOURCE
    needs_prompts = True

    def __init__(self, load: Callable[[], Judge] = Judge.load):
        self._load, self.judge = load, None

    def prepare(self) -> None:
        self.judge = self.judge or self._load()


class SubjectRead(_OfJudge):
    """Share of the pictures that show the subject, and the setting that the prompt names.

    `fidelity` is class, both colors and pattern of the photographs, and their accessory unless the prompt asks for
    another one; `setting` is of the prompts that name one of the tiny world's.

    Args:
        load: callable that gives the `Judge`.
    """

    name = "judge"
    of = SUBJECT
    higher_is_better = True
    roles = MappingProxyType({"fidelity": "subject", "setting": "prompt"})

    def score(
        self, pictures: Sequence[ArrayLike], references: Sequence[ArrayLike], prompts: Sequence[str]
    ) -> dict[str, Estimate]:
        self.prepare()
        look, seen = look_of(self.judge, references), read(self.judge, pictures)
        right = {name: seen[name] == look[name] for name in IDENTITY}
        asked = np.array([next((a for a in ATTRIBUTES["accessory"] if f" {a}" in p), None) for p in prompts], object)
        right["accessory"] |= seen["accessory"] == asked
        found = {"fidelity": estimate_share(np.all(list(right.values()), axis=0))}
        settings = [next((value for value in ATTRIBUTES["setting"] if value in prompt), None) for prompt in prompts]
        named = [index for index, setting in enumerate(settings) if setting]
        if named:
            hits = [seen["setting"][index] == settings[index] for index in named]
            found["setting"] = estimate_share(hits)
        return found


class ClassRead(_OfJudge):
    """Of the pictures of the class, the share that shows the class at all and the share that looks like the subject,
    and how many colors, patterns and accessories two of them do not have in common.

    Args:
        load: callable that gives the `Judge`.
    """

    name = "judge of the class"
    of = CLASS
    higher_is_better = MappingProxyType({"class": True, "drift": False, "diversity": True})
    roles = MappingProxyType({"drift": "drift", "diversity": "diversity"})

    def score(
        self, pictures: Sequence[ArrayLike], references: Sequence[ArrayLike], prompts: Sequence[str]
    ) -> dict[str, Estimate]:
        self.prepare()
        require_pairs(self.name, pictures)
        look, seen = look_of(self.judge, references), read(self.judge, pictures)
        like = (seen["main_color"] == look["main_color"]) & (seen["pattern"] == look["pattern"])
        differing = np.mean([seen[name][:, None] != seen[name] for name in VARIETY], axis=0)
        return {
            "class": estimate_share(seen["class_noun"] == look["class_noun"]),
            "drift": estimate_share(like),
            "diversity": estimate_pairs(differing, bounds=SHARE),
        }
