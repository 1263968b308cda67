"""A loss that can be read: the same pictures, timesteps and noise every time."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_booth.bases import Compiled
from keras_booth.callbacks.csv_log import CsvLog
from keras_booth.callbacks.steps import LOSSES, StepCallback
from keras_booth.data import PhotoSet, photo_dataset
from keras_booth.dreambooth import DreamBooth, averaged, squared_error
from keras_booth.tools.annotations import FilePath
from keras_booth.tools.process.replicas import scope_of

if TYPE_CHECKING:
    import tensorflow as tf

PICTURES = 8
TIMESTEPS = 4
COLUMNS = (*LOSSES[1:], "held_out_loss")
LEFT = ("is_prior", "sample_weight")  # of a sample: the error is neither weighed nor of a kind


def compiled_errors(booth: DreamBooth) -> Compiled:
    """The error of each sample of a batch, compiled: dict of fixed arrays -> float32 `(batch,)`."""

    def errors(batch):
        found = booth.call(batch)
        return squared_error(found["prediction"], found["target"])

    with scope_of(booth):
        compiled = Compiled(errors, [*booth.base.text_encoders.values(), booth.unet, booth.image_encoder])
    compiled.jit_compile = booth.jit_compile
    return compiled


class ValidationLoss(StepCallback):
    """Measures the unweighted loss on fixed samples: photographs, class images, and photographs that were held out.

    The training loss of a step is mostly luck: which timesteps were drawn. Here the same pictures meet the same four
    timesteps, spread over the schedule, and the same noise each time. Where the optimizer keeps averages of the
    weights, they are what is measured.

    Args:
        data: dict of `tf.data.Dataset` of single samples, by the name of their loss; see `validation_datasets`.
        path: str or `Path` of a CSV file with the columns `step`, `instance_loss`, `prior_loss`, `held_out_loss`.
        every: int >= 1. Training steps between two measurements; the first is made before training.
        seed: int. Seed of the noise.
    """

    def __init__(self, data: Mapping[str, tf.data.Dataset], path: FilePath, every: int, seed: int = 0):
        super().__init__()
        self.samples = {name: list(dataset.as_numpy_iterator()) for name, dataset in data.items()}
        self.log = CsvLog(path, COLUMNS)
        self.every = every
        self.seed = seed
        self.losses, self.measured_at = {}, None
        self.errors = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_train_begin(logs)
        kept = self.log.begin(self.start)
        # Also where a run goes on from a step after which it was stopped before its line was there.
        if not kept or (self.start % self.every == 0 and self.start not in self.log.steps()):
            self.measure()

    def on_steps(self, before: int) -> None:
        if self.passed(before, self.every) and self.step != self.stop:
            self.measure()

    def finish(self) -> None:
        """The last line is always of the model that is saved."""
        if self.step not in self.log.steps():
            self.measure()

    def measure(self) -> None:
        """Measure, remember the losses in `self.losses`, and add a line to the file."""
        self.sync()
        with averaged(self.model):
            self.losses = self.mean_losses()
        self.measured_at = self.step
        self.log.add(self.step, self.losses)

    def mean_losses(self) -> dict[str, float]:
        """dict of the mean losses of the fixed samples with the weights as they are."""
        errors = self.errors = self.errors or compiled_errors(self.model)
        shape = self.model.base.latent_shape
        timesteps = ((np.arange(TIMESTEPS) + 0.5) / TIMESTEPS * self.model.base.schedule.steps).astype("int32")
        losses = {}
        for name, samples in self.samples.items():
            rng, found = np.random.default_rng(self.seed), []
            for sample in samples:
                batch = {key: np.repeat(sample[key], TIMESTEPS, axis=0) for key in sample if key not in LEFT}
                batch["timesteps"] = timesteps
                batch["noise"], batch["posterior_noise"] = rng.standard_normal((2, TIMESTEPS, *shape), "float32")
                found.append(errors.on_batch(batch).mean())
            losses[name] = float(np.mean(found))
        return losses


def validation_datasets(
    booth: DreamBooth,
    photos: Sequence[PhotoSet],
    prior: Sequence[PhotoSet] | None,
    held_out: Sequence[PhotoSet] = (),
) -> dict[str, tf.data.Dataset]:
    """The first pictures of each kind, one after the other and always the same: their centers, not mirrored.

    Args:
        booth: `DreamBooth`.
        photos: sequence of `PhotoSet`, one a subject.
        prior: sequence of `PhotoSet`, or `None`.
        held_out: sequence of `PhotoSet` that are not trained on.

    Returns:
        dict of `tf.data.Dataset` of single samples, by the name of their loss; without those of which there are none.
    """
    frozen = not booth.trains_text
    options = {"batch_size": 1, "shuffle": False, "cache_latents": True, "cache_text": frozen, "share": (0, 1)}
    kinds = zip(COLUMNS, (photos, prior, held_out), strict=True)
    return {
        name: photo_dataset([as_measured(group) for group in groups], None, booth, **options)
        for name, groups in kinds
        if groups
    }


def as_measured(photos: PhotoSet) -> PhotoSet:
    """The first pictures of a `PhotoSet`, always cut in the same way."""
    return dataclasses.replace(photos.first(PICTURES), crop="center", flip=False)
