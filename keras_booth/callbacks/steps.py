"""Keras callbacks that show and keep what a training run does."""

from typing import Any

import keras

from keras_booth.callbacks.csv_log import CsvLog
from keras_booth.tools.annotations import FilePath
from keras_booth.tools.progress import progress_bar

LOSSES = ("loss", "instance_loss", "prior_loss")


class StepCallback(keras.callbacks.Callback):
    """Counts the optimizer steps of a `fit` over all its epochs, in `self.step`.

    `start` is the step that a resumed run goes on from. `stop` is the step at which the run ends: what is due there is
    done by `finish`, when the weights are those that are saved; without it everything is done as it comes.
    """

    start = step = 0
    stop = None
    _first = 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.step = self.start

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._first = self.step

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        before, self.step = self.step, self._first + batch + 1
        self.on_steps(before)

    def on_steps(self, before: int) -> None:
        """Called after each batch, or after several when Keras runs them at once.

        Args:
            before: int, what `self.step` was at the last call.
        """

    def finish(self) -> None:
        """Called when the weights are final; `fit` did not run if nothing was left to train."""

    def passed(self, before: int, every: int) -> bool:
        """Whether a multiple of `every` lies in the steps since `before`."""
        return self.step // every > before // every

    def sync(self) -> None:
        """Brings the weights and metrics up to date: on JAX, `fit` holds them back during an epoch."""
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()


class LossCallback(StepCallback):
    """Knows the losses of single steps.

    The `logs` that Keras passes are means over the epoch so far, in which the last steps hardly count. The loss of
    the steps since the last look is the change of each metric's total over the change of its count.
    """

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_epoch_begin(epoch, logs)
        self._seen = {}

    def recent_losses(self) -> dict[str, float]:
        """dict of the mean losses since the last call; one that had no sample since is missing."""
        self.sync()
        losses = {}
        for metric in self.model.metrics:
            if metric.name not in LOSSES or not isinstance(metric, keras.metrics.Mean):
                continue
            total, count = (float(keras.ops.convert_to_numpy(value)) for value in (metric.total, metric.count))
            old_total, old_count = self._seen.get(metric.name, (0.0, 0.0))
            if count > old_count:
                losses[metric.name] = (total - old_total) / (count - old_count)
            self._seen[metric.name] = (total, count)
        return losses


class StepLog(LossCallback):
    """Writes the losses of every step to a CSV file with the columns `step`, `loss`, `instance_loss`, `prior_loss`.

    Every line is on disk as soon as its step is done, so that an interrupted run leaves its log.

    Args:
        path: str or `Path` of the file.
        every: int. Steps that are put together in a line, which then holds their mean.
    """

    def __init__(self, path: FilePath, every: int = 1):
        super().__init__()
        self.log = CsvLog(path, LOSSES)
        self.every = every

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_train_begin(logs)
        self.log.begin(self.start)

    def on_steps(self, before: int) -> None:
        if self.passed(before, self.every):
            self.log.add(self.step, self.recent_losses())


class TrainingProgress(LossCallback):
    """One line that moves: steps done, the losses of late, time left. Use it with `fit(verbose=0)`.

    Args:
        steps: int. Steps of the whole run; the bar is about those that are left of it.
    """

    def __init__(self, steps: int):
        super().__init__()
        self.steps = steps
        self.bar = None
        self._smooth = {}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_train_begin(logs)
        self.bar = progress_bar(self.steps - self.start, "training", "step")
        self.bar.set_postfix_str("compiling the first step")

    def on_steps(self, before: int) -> None:
        if before == self.start:
            self.bar.reset()  # the first step compiles: the time left must not count it
        for name, value in self.recent_losses().items():
            self._smooth[name] = 0.95 * self._smooth.get(name, value) + 0.05 * value
        shown = {"subject": self._smooth.get("instance_loss", 0.0), "class": self._smooth.get("prior_loss", 0.0)}
        self.bar.set_postfix_str(", ".join(f"{name} loss {value:.3f}" for name, value in shown.items() if value))
        self.bar.update(self.step - before)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the line; for a run that is interrupted."""
        if self.bar is not None:
            self.bar.close()
