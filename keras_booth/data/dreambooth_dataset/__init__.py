"""The photographs and prompts of the DreamBooth dataset."""

from keras_booth.data.dreambooth_dataset.opening import dreambooth_builder
from keras_booth.data.dreambooth_dataset.subjects import (
    LIVE_PROMPTS,
    OBJECT_PROMPTS,
    SUBJECTS,
    DatasetSubject,
    subject_folder,
)

__all__ = ["DatasetSubject", "LIVE_PROMPTS", "OBJECT_PROMPTS", "SUBJECTS", "dreambooth_builder", "subject_folder"]
