"""What a model is measured with when nobody says it."""

from __future__ import annotations

from keras_booth.bases import known_classes
from keras_booth.dreambooth import DreamBooth
from keras_booth.evaluation.encoders.clip import CLIP
from keras_booth.evaluation.encoders.dino import DINO
from keras_booth.evaluation.metrics.judge import ClassRead, SubjectRead
from keras_booth.evaluation.metrics.metric import Metric
from keras_booth.evaluation.metrics.paper import paper_metrics
from keras_booth.tools.annotations import FilePath


def default_metrics(
    booth: DreamBooth,
    *,
    lpips: FilePath | None = None,
    dino: FilePath | None = None,
    clip: FilePath | None = None,
) -> tuple[Metric, ...]:
    """The judge for the tiny world; for all other models the paper's metrics.

    Args:
        booth: `DreamBooth`.
        lpips: file of LPIPS's weights; `None` to leave DIV out.
        dino: folder of DINO, or an address on the hub; `None` for the original's.
        clip: folder of CLIP, or an address on the hub; `None` for the original's.
    """
    if known_classes(booth.base.config) is not None:
        return (SubjectRead(), ClassRead())
    *others, diversity = paper_metrics(lpips or "", dino or DINO, clip or CLIP)
    return (*others, diversity) if lpips else tuple(others)
