"""Photographs on disk -> batches for `fit`."""

from keras_booth.tools.process.backend import require_backend

require_backend()

from keras_booth.data.captions import Captions, caption_files, find_captions, read_captions
from keras_booth.data.dataset import photo_dataset
from keras_booth.data.digests import photo_digests
from keras_booth.data.dreambooth_dataset import (
    LIVE_PROMPTS,
    OBJECT_PROMPTS,
    DatasetSubject,
    dreambooth_builder,
    subject_folder,
)
from keras_booth.data.dreambooth_dataset import SUBJECTS as DATASET_SUBJECTS
from keras_booth.data.errors import PhotoError
from keras_booth.data.geometry import center_crop, fit_to, resize_short_side
from keras_booth.data.inspection import Inspection, inspect_photos
from keras_booth.data.photo_set import PhotoSet
from keras_booth.data.reading.photographs import find_photos, read_photo

__all__ = [
    "Captions",
    "DATASET_SUBJECTS",
    "DatasetSubject",
    "Inspection",
    "LIVE_PROMPTS",
    "OBJECT_PROMPTS",
    "PhotoError",
    "PhotoSet",
    "caption_files",
    "center_crop",
    "dreambooth_builder",
    "find_captions",
    "find_photos",
    "fit_to",
    "inspect_photos",
    "photo_dataset",
    "photo_digests",
    "read_captions",
    "read_photo",
    "resize_short_side",
    "subject_folder",
]
