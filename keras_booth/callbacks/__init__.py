"""What happens between two steps of a training run, public as it is."""

from keras_booth.tools.process.backend import require_backend

require_backend()

from keras_booth.callbacks.best import WEIGHTS as BEST_WEIGHTS
from keras_booth.callbacks.best import KeepBest, few_pictures
from keras_booth.callbacks.checkpoint_files import Stored, in_order, newest_whole
from keras_booth.callbacks.checkpoints import Checkpoints, latest_checkpoint, load_checkpoint, restore
from keras_booth.callbacks.guard import FiniteGuard, NotFinite
from keras_booth.callbacks.orderly_stop import OrderlyStop
from keras_booth.callbacks.samples import SampleGrid
from keras_booth.callbacks.steps import StepLog, TrainingProgress
from keras_booth.callbacks.tensorboard import TensorBoardLog, require_tensorboard
from keras_booth.callbacks.validation import ValidationLoss, validation_datasets

__all__ = [
    "BEST_WEIGHTS",
    "Checkpoints",
    "FiniteGuard",
    "KeepBest",
    "NotFinite",
    "OrderlyStop",
    "SampleGrid",
    "StepLog",
    "Stored",
    "TensorBoardLog",
    "TrainingProgress",
    "ValidationLoss",
    "few_pictures",
    "in_order",
    "latest_checkpoint",
    "load_checkpoint",
    "newest_whole",
    "require_tensorboard",
    "restore",
    "validation_datasets",
]
