"""Metrics."""

from keras_booth.evaluation.tiny_world import PHOTO_SETTINGS as PHOTO_SETTINGS
from keras_booth.evaluation.tiny_world import PROMPT_SETTINGS as PROMPT_SETTINGS
from keras_booth.evaluation.tiny_world import SUBJECTS as SUBJECTS
from keras_booth.evaluation.tiny_world import agreement as agreement
from keras_booth.evaluation.tiny_world import base_prompts as base_prompts
from keras_booth.evaluation.tiny_world import load_judge as load_judge
from keras_booth.evaluation.tiny_world import render_photos as render_photos
from keras_booth.evaluation.tiny_world import score_class as score_class
from keras_booth.evaluation.tiny_world import score_subject as score_subject
