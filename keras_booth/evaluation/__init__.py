"""Metrics."""

from keras_booth.tools.process.backend import require_backend

require_backend()

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
    "PHOTO_SETTINGS",
    "PROMPT_SETTINGS",
    "SUBJECTS",
    "SubjectScore",
    "agreement",
    "base_prompts",
    "load_judge",
    "render_photos",
    "score_class",
    "score_subject",
]
