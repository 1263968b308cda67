"""What happens between two steps of a training run, public as it is."""

from keras_booth.callbacks.checkpoints import Checkpoints as Checkpoints
from keras_booth.callbacks.guard import FiniteGuard as FiniteGuard
from keras_booth.callbacks.guard import NotFinite as NotFinite
from keras_booth.callbacks.samples import SampleGrid as SampleGrid
from keras_booth.callbacks.steps import StepLog as StepLog
from keras_booth.callbacks.steps import TrainingProgress as TrainingProgress
from keras_booth.callbacks.tensorboard import TensorBoardLog as TensorBoardLog
from keras_booth.callbacks.validation import ValidationLoss as ValidationLoss
