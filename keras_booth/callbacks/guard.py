"""Stops a run whose numbers are no numbers any more."""

import keras
import numpy as np

from keras_booth.callbacks.steps import LossCallback


class NotFinite(ArithmeticError):
    """A loss or a weight became infinite or not a number. The message names it and the step."""


class FiniteGuard(LossCallback):
    """Looks at the loss after every step, and at the weights when it is time for a checkpoint; a run calls
    `check_weights` once more at its end.

    Put it before `Checkpoints`: a checkpoint is then always of a sound model. With a dynamic loss scale a step whose
    gradient overflows is skipped by the optimizer and is no mistake; a loss that is not finite is.

    Args:
        every: int >= 1. Training steps between two looks at the weights.

    Raises:
        NotFinite: from `fit`.
    """

    def __init__(self, every: int = 100):
        super().__init__()
        self.every = every

    def on_steps(self, before: int) -> None:
        for name, value in self.recent_losses().items():
            if not np.isfinite(value):
                raise NotFinite(f"{name} is {value} at step {self.step}. {ADVICE}")
        if self.passed(before, self.every):
            self.check_weights()

    def check_weights(self) -> None:
        """Raise `NotFinite` for the first trained weight that is not finite."""
        for variable in self.model.trainable_variables:
            if not np.all(np.isfinite(keras.ops.convert_to_numpy(variable))):
                raise NotFinite(f"The weight {variable.path} is not finite at step {self.step}. {ADVICE}")


ADVICE = (
    "Lower training.learning_rate, set training.global_clipnorm, or train with base.dtype mixed_bfloat16 or float32 "
    "instead of float16."
)
