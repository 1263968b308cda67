"""The paper's metrics (arXiv:2208.12242, sections 4.1 and 4.3)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from keras_booth.evaluation.encoders import ImageEncoder, Lpips, TextEncoder, load_clip, load_dino, load_lpips
from keras_booth.evaluation.encoders.clip import CLIP
from keras_booth.evaluation.encoders.dino import DINO
from keras_booth.evaluation.metrics.diversity import Diversity
from keras_booth.evaluation.metrics.metric import CLASS, Metric
from keras_booth.evaluation.metrics.similarity import ImageSimilarity, PromptSimilarity
from keras_booth.tools.annotations import FilePath

PAPER = "arXiv:2208.12242"
# Of subject, subject by another encoder, prompt, drift and diversity.
NAMES = ("DINO", "CLIP-I", "CLIP-T", "PRES", "DIV")


def paper_metrics(
    lpips: FilePath, dino: FilePath = DINO, clip: FilePath = CLIP
) -> tuple[Metric, Metric, Metric, Metric, Metric]:
    """DINO, CLIP-I, CLIP-T, PRES and DIV with their original encoders, which are loaded when they are needed.

    Args:
        lpips: file of LPIPS's weights; see `load_lpips`.
        dino: folder of DINO, or its address on the hub.
        clip: folder of CLIP, or its address on the hub.
    """
    return metrics_of(lambda: load_dino(dino), lambda: load_clip(clip), lambda: load_lpips(lpips))


def metrics_of(
    identity: Callable[[], ImageEncoder],
    image_text: Callable[[], tuple[ImageEncoder, TextEncoder]],
    distance: Callable[[], Lpips | Any],
    names: Sequence[str] = NAMES,
) -> tuple[Metric, Metric, Metric, Metric, Metric]:
    """The five metrics with any encoders in the roles of DINO, CLIP and LPIPS, each loaded once.

    Args:
        identity: callable that gives what tells subjects apart.
        image_text: callable that gives what tells whether a picture shows what a text says.
        distance: callable that gives what has `pairwise`, as `Lpips`.
        names: five str, which stand in the tables.
    """
    identity, image_text, distance = (functools.cache(load) for load in (identity, image_text, distance))
    return (
        ImageSimilarity(names[0], identity, f"{PAPER}, section 4.1", role="subject"),
        ImageSimilarity(names[1], lambda: image_text()[0], f"{PAPER}, section 4.1"),
        PromptSimilarity(names[2], image_text, f"{PAPER}, section 4.1"),
        ImageSimilarity(names[3], identity, f"{PAPER}, section 4.3", of=CLASS, higher_is_better=False, role="drift"),
        Diversity(names[4], distance, f"{PAPER}, section 4.3"),
    )
