"""What a model is measured with when nobody says it."""

from __future__ import annotations

from keras_booth.bases import BaseConfig, known_classes
from keras_booth.dreambooth import DreamBooth
from keras_booth.evaluation.encoders.clip import CLIP
from keras_booth.evaluation.encoders.dino import DINO
from keras_booth.evaluation.encoders.tiny_world import tiny_world_loaders
from keras_booth.evaluation.metrics.judge import ClassRead, SubjectRead
from keras_booth.evaluation.metrics.metric import Metric
from keras_booth.evaluation.metrics.paper import metrics_of, paper_metrics
from keras_booth.tools.annotations import FilePath

# In the places of DINO, CLIP-I, CLIP-T, PRES and DIV: what those say is not said here, the formulas are the paper's.
TINY_NAMES = ("identity", "likeness", "prompt", "PRES", "DIV")


def default_metrics(
    booth: DreamBooth,
    *,
    lpips: FilePath | None = None,
    dino: FilePath | None = None,
    clip: FilePath | None = None,
) -> tuple[Metric, ...]:
    """The paper's metrics; for the tiny world the judge, and those metrics with its own small encoders.

    Args:
        booth: `DreamBooth`.
        lpips: file of LPIPS's weights; `None` to leave DIV out.
        dino: folder of DINO, or an address on the hub; `None` for the original's.
        clip: folder of CLIP, or an address on the hub; `None` for the original's.
    """
    return default_metrics_of(booth.base.config, lpips=lpips, dino=dino, clip=clip)


def default_metrics_of(
    config: BaseConfig, *, lpips: FilePath | None = None, dino: FilePath | None = None, clip: FilePath | None = None
) -> tuple[Metric, ...]:
    """`default_metrics` of a base that need not be there yet, by its `BaseConfig`."""
    if known_classes(config) is not None:
        return (SubjectRead(), ClassRead(), *metrics_of(*tiny_world_loaders(), TINY_NAMES))
    *others, diversity = paper_metrics(lpips or "", dino or DINO, clip or CLIP)
    return (*others, diversity) if lpips else tuple(others)
