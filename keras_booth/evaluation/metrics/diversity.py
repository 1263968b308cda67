"""How different the pictures of one prompt are: DIV."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from keras_booth.evaluation.encoders import Lpips
from keras_booth.evaluation.intervals import Estimate, estimate_pairs
from keras_booth.evaluation.metrics.metric import CLASS
from keras_booth.evaluation.metrics.similarity import require_pairs, require_prompts


@dataclasses.dataclass
class Diversity:
    """Mean distance between pictures of the same prompt.

    Args:
        name: str.
        load: callable that gives the `Lpips`, or what else has its `pairwise`.
        source: str.
    """

    name: str
    load: Callable[[], Lpips]
    source: str
    of: str = CLASS
    higher_is_better: bool = True
    needs_prompts = True
    distance: Lpips | None = dataclasses.field(default=None, init=False)

    @property
    def roles(self) -> dict[str, str]:
        return {self.name: "diversity"}

    def prepare(self) -> None:
        self.distance = self.distance or self.load()

    def score(
        self, pictures: Sequence[ArrayLike], references: Sequence[ArrayLike], prompts: Sequence[str]
    ) -> dict[str, Estimate]:
        self.prepare()
        require_prompts(self.name, pictures, prompts)
        prompts = np.array(prompts)
        distances = np.full((len(pictures), len(pictures)), np.nan)
        for prompt in dict.fromkeys(prompts):
            mine = np.flatnonzero(prompts == prompt)
            require_pairs(self.name, mine)
            distances[np.ix_(mine, mine)] = self.distance.pairwise([pictures[index] for index in mine])
        return {self.name: estimate_pairs(distances)}
