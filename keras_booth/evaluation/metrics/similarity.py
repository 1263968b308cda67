"""How much pictures look like the photographs: DINO, CLIP-I, PRES; and like their prompts: CLIP-T."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from keras_booth.evaluation.encoders import ImageEncoder, TextEncoder
from keras_booth.evaluation.intervals import Estimate, estimate_mean, estimate_pairs
from keras_booth.evaluation.metrics.metric import SUBJECT
from keras_booth.tools.errors import InputError

COSINE = (-1.0, 1.0)


@dataclasses.dataclass
class ImageSimilarity:
    """Mean cosine between the embeddings of all pairs of a picture and a photograph.

    Args:
        name: str.
        load: callable that gives the `ImageEncoder`.
        source: str.
        of: `"subject"` or `"class"`.
        higher_is_better: bool.
        role: str, see `Metric.roles`; `None` for none.
    """

    name: str
    load: Callable[[], ImageEncoder]
    source: str
    of: str = SUBJECT
    higher_is_better: bool = True
    role: str | None = None
    needs_prompts = False
    encoder: ImageEncoder | None = dataclasses.field(default=None, init=False)

    @property
    def roles(self) -> dict[str, str]:
        return {self.name: self.role} if self.role else {}

    def prepare(self) -> None:
        self.encoder = self.encoder or self.load()

    def score(
        self, pictures: Sequence[ArrayLike], references: Sequence[ArrayLike], prompts: Sequence[str]
    ) -> dict[str, Estimate]:
        self.prepare()
        embedded = self.encoder(pictures)
        if references is pictures:
            require_pairs(self.name, pictures)
            return {self.name: estimate_pairs(embedded @ embedded.T, bounds=COSINE)}
        return {self.name: estimate_mean((embedded @ self.encoder(references).T).mean(axis=1), bounds=COSINE)}


@dataclasses.dataclass
class PromptSimilarity:
    """Mean cosine between the embeddings of each picture and of its prompt.

    Args:
        name: str.
        load: callable that gives `(ImageEncoder, TextEncoder)`.
        source: str.
    """

    name: str
    load: Callable[[], tuple[ImageEncoder, TextEncoder]]
    source: str
    of: str = SUBJECT
    higher_is_better: bool = True
    needs_prompts = True
    encoders: tuple[ImageEncoder, TextEncoder] | None = dataclasses.field(default=None, init=False)

    @property
    def roles(self) -> dict[str, str]:
        return {self.name: "prompt"}

    def prepare(self) -> None:
        self.encoders = self.encoders or self.load()

    def score(
        self, pictures: Sequence[ArrayLike], references: Sequence[ArrayLike], prompts: Sequence[str]
    ) -> dict[str, Estimate]:
        self.prepare()
        require_prompts(self.name, pictures, prompts)
        images, texts = self.encoders
        cosines = (images(pictures) * self._texts(texts, prompts)).sum(axis=1)
        return {self.name: estimate_mean(cosines, bounds=COSINE)}

    def _texts(self, encode, prompts):
        """An embedding for each prompt, each text encoded once."""
        different = list(dict.fromkeys(prompts))
        embedded = dict(zip(different, encode(different), strict=True))
        return np.stack([embedded[prompt] for prompt in prompts])


def require_prompts(name: str, pictures: Sequence[Any], prompts: Sequence[str]) -> None:
    """Refuses pictures of which it is not known what they shall show."""
    if len(prompts) != len(pictures):
        raise InputError(
            f"{name} needs a prompt for each picture. Received: {len(pictures)} pictures, {len(prompts)} prompts"
        )


def require_pairs(name: str, pictures: Sequence[Any]) -> None:
    """Refuses a single picture where two are compared."""
    if len(pictures) < 2:
        raise InputError(f"{name} compares pictures with one another. Received: {len(pictures)} picture")
