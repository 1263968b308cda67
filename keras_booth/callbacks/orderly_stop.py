"""A run that is stopped stops between two steps."""

from typing import Any

from keras_booth.callbacks.steps import StepCallback
from keras_booth.tools.process.processes import any_says, process_count
from keras_booth.tools.process.stopping import Postponed, Terminated


class OrderlyStop(StepCallback):
    """Has Ctrl-C and SIGTERM wait for the step at hand, so that the model is always that of a whole number of steps.

    A second one does not wait, and nobody waits for the first step, which is compiled, and after which alone there is
    something to lose. Processes that train together stop together, behind a step. A context manager for the time of
    `fit`. Put it behind those callbacks that write, and before those that draw, which may be stopped at any moment.
    """

    def __init__(self):
        super().__init__()
        self._signals = Postponed()

    def __enter__(self) -> "OrderlyStop":
        self._signals.__enter__()
        return self

    def __exit__(self, *args: object) -> None:
        self._signals.__exit__(*args)

    @property
    def between(self) -> bool:
        """Whether the model is that of `self.step` steps, of which at least one was done here."""
        return self.step > self.start and not self._signals.busy

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._signals.busy = self.step > self.start

    def on_steps(self, before: int) -> None:
        if process_count() == 1:
            self._signals.come()
        elif any_says(self._signals.waits):
            self._signals.come()
            raise Terminated  # it was another process that was asked
