"""Photographs on disk -> batches for `fit`."""

from keras_booth.data.captions import read_captions
from keras_booth.data.dataset import photo_dataset
from keras_booth.data.digests import photo_digests
from keras_booth.data.errors import PhotoError
from keras_booth.data.inspection import inspect_photos
from keras_booth.data.photo_set import PhotoSet
from keras_booth.data.reading.photographs import find_photos, read_photo

__all__ = [
    "PhotoError",
    "PhotoSet",
    "find_photos",
    "inspect_photos",
    "photo_dataset",
    "photo_digests",
    "read_captions",
    "read_photo",
]
