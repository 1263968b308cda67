"""Metrics."""

from keras_booth.tools.process.backend import require_backend

require_backend()

from keras_booth.evaluation.encoders import ImageEncoder, Lpips, TextEncoder, load_clip, load_dino, load_lpips
from keras_booth.evaluation.intervals import SHARE, Estimate, estimate_mean
from keras_booth.evaluation.metrics import Metric, default_metrics, default_metrics_of, metrics_of, paper_metrics
from keras_booth.evaluation.prompts import PromptSet, default_prompts_of
from keras_booth.evaluation.protocol import (
    BASE,
    PHOTOGRAPHS,
    Drawn,
    Protocol,
    Row,
    evaluate,
    read_references,
    score,
    score_photographs,
)
from keras_booth.evaluation.tables import SUFFIXES, columns, table
from keras_booth.evaluation.tiny_world import (
    PHOTO_SETTINGS,
    PROMPT_SETTINGS,
    SUBJECTS,
    agreement,
    base_prompts,
    load_judge,
    render_photos,
)

__all__ = [
    "BASE",
    "Drawn",
    "Estimate",
    "ImageEncoder",
    "Lpips",
    "Metric",
    "PHOTOGRAPHS",
    "PHOTO_SETTINGS",
    "PROMPT_SETTINGS",
    "PromptSet",
    "Protocol",
    "Row",
    "SHARE",
    "SUBJECTS",
    "SUFFIXES",
    "TextEncoder",
    "agreement",
    "base_prompts",
    "columns",
    "default_metrics",
    "default_metrics_of",
    "default_prompts_of",
    "estimate_mean",
    "evaluate",
    "load_clip",
    "load_dino",
    "load_judge",
    "load_lpips",
    "metrics_of",
    "paper_metrics",
    "read_references",
    "render_photos",
    "score",
    "score_photographs",
    "table",
]
