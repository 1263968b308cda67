"""Losses and sample sheets for TensorBoard."""

import importlib.util
from typing import Any

import numpy as np
import tensorflow as tf

from keras_booth.callbacks.samples import SampleGrid
from keras_booth.callbacks.steps import LossCallback
from keras_booth.callbacks.validation import ValidationLoss
from keras_booth.tools.annotations import FilePath
from keras_booth.tools.errors import InputError
from keras_booth.tools.files.writing import writing


def require_tensorboard() -> None:
    """Raise `InputError` where the package that writes events is missing."""
    if importlib.util.find_spec("tensorboard") is None:
        raise InputError("Event files need a package: pip install tensorboard. Received: training.tensorboard=True")


class TensorBoardLog(LossCallback):
    """Writes event files: `tensorboard --logdir FOLDER` shows them.

    Args:
        folder: str or `Path`.
        validation: `ValidationLoss` of the run, which comes before this one among the callbacks; or `None`.
        samples: `SampleGrid` of the run, which comes before this one; or `None`.
    """

    def __init__(self, folder: FilePath, validation: ValidationLoss | None = None, samples: SampleGrid | None = None):
        super().__init__()
        self.folder = folder
        self.validation, self.samples = validation, samples
        self._measured = self._shown = None
        self._writer = None

    @property
    def writer(self) -> Any:
        """The event file, which a run that has nothing left to train opens at its end."""
        with writing(self.folder):
            self._writer = self._writer or tf.summary.create_file_writer(str(self.folder))
        return self._writer

    def on_steps(self, before: int) -> None:
        with self.writer.as_default(step=self.step):
            for name, value in self.recent_losses().items():
                tf.summary.scalar(f"train/{name}", value)
        self.write_new()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.writer.flush()

    def finish(self) -> None:
        self.write_new()
        self.writer.close()

    def write_new(self) -> None:
        """Writes the losses and pictures that came since the last call."""
        with self.writer.as_default(step=self.step):
            if self.validation is not None and self.validation.measured_at not in (None, 0, self._measured):
                self._measured = self.validation.measured_at
                for name, value in self.validation.losses.items():
                    tf.summary.scalar(f"validation/{name}", value)
            if self.samples is not None and self.samples.drawn_at not in (None, self._shown):
                self._shown = self.samples.drawn_at
                for prompt, pictures in zip(self.samples.prompts, self.samples.pictures, strict=True):
                    tf.summary.image(prompt, np.stack(pictures), max_outputs=len(pictures))
