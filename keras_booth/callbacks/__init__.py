"""What happens between two steps of a training run, public as it is."""

from keras_booth.tools.backend import require_backend

require_backend()

from keras_booth.callbacks.checkpoints import Checkpoints, latest_checkpoint, load_checkpoint
from keras_booth.callbacks.guard import FiniteGuard, NotFinite
from keras_booth.callbacks.samples import SampleGrid
from keras_booth.callbacks.steps import StepLog, TrainingProgress
from keras_booth.callbacks.tensorboard import TensorBoardLog, require_tensorboard
from keras_booth.callbacks.validation import ValidationLoss, validation_dataset

__all__ = [
    "Checkpoints",
    "FiniteGuard",
    "NotFinite",
    "SampleGrid",
    "StepLog",
    "TensorBoardLog",
    "TrainingProgress",
    "ValidationLoss",
    "latest_checkpoint",
    "load_checkpoint",
    "require_tensorboard",
    "validation_dataset",
]
