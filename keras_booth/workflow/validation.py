"""A loss that can be read: the same pictures, timesteps and noise every time."""

import keras
import numpy as np

from keras_booth.dreambooth.loss import squared_error
from keras_booth.workflow.callbacks import LOSSES, StepCallback
from keras_booth.workflow.csv_log import CsvLog

PICTURES = 8
TIMESTEPS = 4


class Errors(keras.Model):
    """The error of each sample of a batch, as one `keras.Model`, so that `predict_on_batch` compiles it."""

    def __init__(self, booth):
        super().__init__(name="errors", dtype="float32")
        # Of the booth's own parts nothing is copied; tracked as layers, they reach JAX's compiled function.
        self.parts = [booth.text_encoder, booth.unet, booth.image_encoder]
        self.predict_error = lambda batch: booth.call(batch)
        self.jit_compile = booth.jit_compile

    def call(self, batch):
        """dict of fixed arrays -> float32 `(batch,)`."""
        found = self.predict_error(batch)
        return squared_error(found["prediction"], found["target"])


class ValidationLoss(StepCallback):
    """Measures the unweighted loss on fixed samples, photographs and class images apart.

    The training loss of a step is mostly luck: which timesteps were drawn. Here up to eight pictures of each kind meet
    the same four timesteps, spread over the schedule, and the same noise each time.

    Args:
        data: `tf.data.Dataset` of `photo_dataset`; its first pictures are taken.
        path: str or `Path` of a CSV file with the columns `step`, `instance_loss`, `prior_loss`.
        every: int >= 1. Training steps between two measurements; the first is made before training.
        seed: int. Seed of the noise.
    """

    def __init__(self, data, path, every, seed=0):
        super().__init__()
        self.samples = list(fixed_samples(data))
        self.log = CsvLog(path, LOSSES[1:])
        self.every = every
        self.seed = seed
        self.losses = {}

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self.errors = Errors(self.model)
        if not self.log.begin(self.start):
            self.measure()

    def on_steps(self, before):
        if self.passed(before, self.every):
            self.measure()

    def measure(self):
        """Measure, remember the losses in `self.losses`, and add a line to the file."""
        self.sync()
        found = {False: [], True: []}
        rng = np.random.default_rng(self.seed)
        shape = self.model.base.latent_shape
        steps = self.model.base.schedule.steps
        for sample in self.samples:
            batch = {
                name: np.repeat(array[None], TIMESTEPS, axis=0) for name, array in sample.items() if name != "is_prior"
            }
            batch["timesteps"] = ((np.arange(TIMESTEPS) + 0.5) / TIMESTEPS * steps).astype("int32")
            batch["noise"], batch["posterior_noise"] = rng.standard_normal((2, TIMESTEPS, *shape), "float32")
            found[bool(sample["is_prior"])].append(self.errors.predict_on_batch(batch).mean())
        self.losses = {
            name: float(np.mean(found[prior]))
            for name, prior in zip(LOSSES[1:], (False, True), strict=True)
            if found[prior]
        }
        self.log.add(self.step, self.losses)


def fixed_samples(data):
    """The first different pictures of a dataset, up to `PICTURES` of each kind, as dicts of single arrays."""
    counts, seen = {False: 0, True: 0}, set()
    for batch in data.as_numpy_iterator():
        batch = {name: array for name, array in batch.items() if name != "sample_weight"}
        picture = "moments" if "moments" in batch else "images"
        for index in range(len(batch["is_prior"])):
            sample = {name: array[index] for name, array in batch.items()}
            key, prior = sample[picture].tobytes(), bool(sample["is_prior"])
            if key not in seen and counts[prior] < PICTURES:
                seen.add(key)
                counts[prior] += 1
                yield sample
