"""One model measured as the paper measures it, beside the photographs and the base."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_booth.data import PhotoSet, find_photos, read_photo
from keras_booth.dreambooth import DreamBooth
from keras_booth.evaluation.intervals import Estimate
from keras_booth.evaluation.metrics import CLASS, SUBJECT, Metric, default_metrics
from keras_booth.evaluation.prompts import PromptSet, default_prompts_of
from keras_booth.tools.annotations import FilePath
from keras_booth.tools.errors import InputError, require

PHOTOGRAPHS, BASE, MODEL = "real photographs", "the base, untouched", "the model"


@dataclasses.dataclass(frozen=True)
class Row:
    """What was measured of one set of pictures.

    Args:
        name: str.
        scores: dict of `Estimate` by the metric's name; what cannot be asked of them is missing.
    """

    name: str
    scores: dict[str, Estimate]


@dataclasses.dataclass(frozen=True)
class Drawn:
    """What a model draws to be measured.

    Args:
        subject: uint8 `(prompts * count, H, W, 3)`, the pictures of a prompt one after the other.
        prompts: list of str, one a picture, without the identifier.
        of_class: uint8 `(class_count, H, W, 3)`, all of the class prompt.
        class_prompt: str.
    """

    subject: np.ndarray
    prompts: list[str]
    of_class: np.ndarray
    class_prompt: str


@dataclasses.dataclass(frozen=True)
class Protocol:
    """What is drawn, the same for every model.

    Args:
        prompts: `PromptSet`.
        count: int >= 1. Pictures of each prompt.
        class_count: int >= 2. Pictures of the class.
        seed: int >= 0. Of all pictures.
        sampling: dict, further arguments of `DreamBooth.generate`: `steps`, `guidance_scale`, `sampler`, `batch_size`.
    """

    prompts: PromptSet
    count: int = 4
    class_count: int = 32
    seed: int = 0
    sampling: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        require(self.count >= 1, "count", ">= 1", self.count)
        require(self.class_count >= 2, "class_count", ">= 2", self.class_count)
        require(self.seed >= 0, "seed", ">= 0", self.seed)

    @property
    def pictures(self) -> int:
        """How many a model draws."""
        return len(self.prompts.templates) * self.count + self.class_count

    def draw(self, booth: DreamBooth, on_batch: Callable[[int], object] | None = None) -> Drawn:
        """Draws the subject and its class with a model as it is.

        Args:
            booth: `DreamBooth`.
            on_batch: callable given the number of pictures finished, after each batch.
        """
        with_subject, alone = self.prompts.of(booth.identifier, booth.class_noun)
        options = {"seed": self.seed, **self.sampling}
        subject = booth.generate(with_subject, self.count, on_batch=on_batch, **options)

        def further(done):
            if on_batch is not None:
                on_batch(len(subject) + done)

        of_class = booth.generate(booth.class_prompt, self.class_count, on_batch=further, **options)
        shown = [prompt for prompt in alone for _ in range(self.count)]
        return Drawn(subject, shown, of_class, booth.class_prompt)


def evaluate(
    booth: DreamBooth,
    photos: FilePath | PhotoSet,
    metrics: Sequence[Metric] | None = None,
    *,
    base: DreamBooth | None = None,
    protocol: Protocol | None = None,
    on_batch: Callable[[int], object] | None = None,
    on_drawn: Callable[[str, Drawn], object] | None = None,
) -> list[Row]:
    """Measures what became of a model (arXiv:2208.12242, section 4.1).

    Args:
        booth: `DreamBooth`, which is not changed.
        photos: folder of the subject's photographs, or a `PhotoSet`.
        metrics: sequence of `Metric`; `None` for those that need nothing but the model, see `default_metrics`.
        base: the model before training, to be measured beside it; `None` to leave it out.
        protocol: what is drawn; `None` for 25 prompts, four pictures of each, and 32 of the class.
        on_batch: callable given the number of pictures finished, of all models, after each batch.
        on_drawn: callable given the name of a row and what was drawn for it, before it is scored.

    Returns:
        list of `Row`: the photographs, the base, the model.

    Raises:
        InputError: for photographs or encoders that cannot be used; before anything is drawn.
    """
    metrics = default_metrics(booth) if metrics is None else metrics
    require_metrics(metrics)
    protocol = protocol or Protocol(default_prompts_of(booth))
    for metric in metrics:
        metric.prepare()
    references = read_references(photos)
    of_photographs = score_photographs(metrics, references)
    rows = [Row(PHOTOGRAPHS, of_photographs)] if of_photographs else []
    models = {BASE: base, MODEL: booth} if base is not None else {MODEL: booth}
    for index, (name, model) in enumerate(models.items()):
        before = index * protocol.pictures
        drawn = protocol.draw(model, None if on_batch is None else lambda done, before=before: on_batch(before + done))
        if on_drawn is not None:
            on_drawn(name, drawn)
        rows.append(Row(name, score(metrics, drawn, references)))
    return rows


def read_references(photos: FilePath | PhotoSet) -> list[np.ndarray]:
    """uint8 arrays `(H, W, 3)`, each of its own size.

    Raises:
        InputError: if there is none, or one cannot be read.
    """
    paths = photos.paths if isinstance(photos, PhotoSet) else find_photos(photos)
    return [read_photo(path) for path in paths]


def score(metrics: Sequence[Metric], drawn: Drawn, references: Sequence[np.ndarray]) -> dict[str, Estimate]:
    """All that the metrics say of what a model drew."""
    pictures = {SUBJECT: drawn.subject, CLASS: drawn.of_class}
    prompts = {SUBJECT: drawn.prompts, CLASS: [drawn.class_prompt] * len(drawn.of_class)}
    found = {}
    for metric in metrics:
        found |= metric.score(pictures[metric.of], references, prompts[metric.of])
    return found


def score_photographs(metrics: Sequence[Metric], references: Sequence[np.ndarray]) -> dict[str, Estimate]:
    """What the metrics say of the photographs themselves: only those that compare pictures with them can, and of a
    single one none."""
    found = {}
    for metric in metrics if len(references) > 1 else ():
        if metric.of == SUBJECT and not metric.needs_prompts:
            found |= metric.score(references, references, [""] * len(references))
    return found


def require_metrics(metrics: Sequence[Metric]) -> None:
    """Refuses two metrics of one name, of which one would be lost."""
    names = [metric.name for metric in metrics]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise InputError(f"Each metric needs a name of its own. Received: {twice!r} twice")
