"""Metrics."""

from keras_booth.tools.process.backend import require_backend

require_backend()

from keras_booth.evaluation.encoders import ImageEncoder, Lpips, TextEncoder, load_clip, load_dino, load_lpips
from keras_booth.evaluation.intervals import Estimate
from keras_booth.evaluation.metrics import Metric, default_metrics, metrics_of, paper_metrics
from keras_booth.evaluation.prompts import PromptSet, default_prompts_of
from keras_booth.evaluation.protocol import Protocol, Row, evaluate, read_references, score
from keras_booth.evaluation.tables import table
from keras_booth.evaluation.tiny_world import (
    PHOTO_SETTINGS,
    PROMPT_SETTINGS,
    SUBJECTS,
    ClassScore,
    SubjectScore,
    agreement,
    base_prompts,
    load_judge,
    render_photos,
    score_class,
    score_subject,
)

__all__ = [
    "ClassScore",
    "Estimate",
    "ImageEncoder",
    "Lpips",
    "Metric",
    "PHOTO_SETTINGS",
    "PROMPT_SETTINGS",
    "PromptSet",
    "Protocol",
    "Row",
    "SUBJECTS",
    "SubjectScore",
    "TextEncoder",
    "agreement",
    "base_prompts",
    "default_metrics",
    "default_prompts_of",
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
    "score_class",
    "score_subject",
    "table",
]
