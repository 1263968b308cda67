"""What a metric is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from numpy.typing import ArrayLike

from keras_booth.evaluation.intervals import Estimate

SUBJECT, CLASS = "subject", "class"


class Metric(Protocol):
    """One question that is asked of pictures.

    Protocol, tables, report and callbacks go by these names, and know no metric.

    Attributes:
        name: str, as in the paper's tables.
        source: str, the paper and its section.
        of: `"subject"` or `"class"`: whether it looks at pictures of the subject or of its class.
        needs_prompts: bool, whether it asks for what a picture shall show.
        roles: dict of `"subject"`, `"prompt"`, `"drift"` or `"diversity"` by the name of an answer: which question of
            `keras_booth.callbacks.KeepBest` it answers.
        higher_is_better: bool; or a dict of bool by the names of its parts.
    """

    name: str
    source: str
    of: str
    needs_prompts: bool
    roles: Mapping[str, str]
    higher_is_better: bool | Mapping[str, bool]

    def prepare(self) -> None:
        """Loads what it needs; raises an `InputError` where that cannot be had. A second call does nothing."""

    def score(
        self, pictures: Sequence[ArrayLike], references: Sequence[ArrayLike], prompts: Sequence[str]
    ) -> dict[str, Estimate]:
        """Answers.

        Args:
            pictures: uint8 arrays `(H, W, 3)`.
            references: uint8 arrays `(H, W, 3)`, the photographs of the subject. Where they are the pictures
                themselves, no picture is compared with itself.
            prompts: str, one a picture: what it shall show, without the identifier.

        Returns:
            dict of `Estimate` by name, of the metric or of its parts.
        """
