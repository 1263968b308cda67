"""Pictures of the model as it is, while it trains."""

import pathlib
import sys
from typing import Any

import numpy as np

from keras_booth.callbacks.steps import StepCallback
from keras_booth.dreambooth import averaged
from keras_booth.figures import image_grid
from keras_booth.tools.annotations import FilePath, Prompts
from keras_booth.tools.errors import InputError
from keras_booth.tools.files.writing import whole_file, writing
from keras_booth.tools.process.processes import first_says, is_first
from keras_booth.tools.progress import progress_bar
from keras_booth.tools.prompts import prompt_list
from keras_booth.tools.seeds import chosen_seed


class SampleGrid(StepCallback):
    """Draws pictures with the model as it is, and lays them out as a labelled sheet.

    A row of the sheet shows what `model.generate(prompt, count, seed=seed)` returns. Where the optimizer keeps averages
    of the weights (`use_ema`), they are what is drawn with: the model that the training would leave if it ended now.

    Args:
        prompts: str, or list of str.
        count: int. Pictures of each prompt.
        every: int. Training steps between two sheets; 0 for one at the end of each epoch.
        folder: str or `Path` for the sheets, `step-0100.png`; `None` to show them in a notebook, and outside of one
            to write them into `samples`.
        seed: int. The same at every sheet, so that sheets can be compared; `None` for any, which is logged.
        **sampling: `steps`, `guidance_scale`, `negative_prompt`, `sampler`, `batch_size` of `DreamBooth.generate`.

    Example:

    ```python
    booth.fit(data, epochs=4, callbacks=[keras_booth.callbacks.SampleGrid("a photo of sks dog in the snow")])
    ```
    """

    def __init__(
        self,
        prompts: Prompts,
        count: int = 4,
        every: int = 0,
        folder: FilePath | None = None,
        seed: int | None = 0,
        **sampling: Any,
    ):
        super().__init__()
        self.prompts = prompt_list(prompts, "prompts")
        for name, value, least in (("count", count, 1), ("every", every, 0)):
            if value < least:
                raise InputError(f"`{name}` must be >= {least}. Received: {name}={value!r}")
        self.count = count
        self.every = every
        self.folder = folder
        self.seed = chosen_seed(seed)
        self.sampling = sampling
        self.pictures = []
        self.drawn_at = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Draws the sheet of the step that a run goes on from, where it was stopped before it was there."""
        super().on_train_begin(logs)
        due = self.every and self.start and self.start % self.every == 0
        if due and self.folder is not None and not first_says(self._path().exists):
            self.show()

    def on_steps(self, before: int) -> None:
        if self.every and self.passed(before, self.every) and self.step != self.stop:
            self.show()

    def finish(self) -> None:
        if self.every and self.step % self.every == 0:
            self.show()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if not self.every:
            self.show()

    def show(self) -> None:
        """Draws a sheet of the model as it is; displays it or writes it."""
        sheet = image_grid(self.draw(), self.prompts, title=f"after {self.step} steps")
        if self.folder is None and in_notebook():
            from IPython.display import display

            display(sheet)
            return
        if not is_first():
            return
        path = self._path()
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as part:
            sheet.save(part, format="png")

    def _path(self):
        return pathlib.Path(self.folder or "samples") / f"step-{self.step:04d}.png"

    def draw(self) -> list[np.ndarray]:
        """Returns a list with a uint8 array `(count, H, W, 3)` for each prompt; also keeps it as `self.pictures`."""
        self.sync()
        with (
            averaged(self.model),
            progress_bar(len(self.prompts) * self.count, "samples", "picture", leave=False) as bar,
        ):
            self.pictures = [self._row(prompt, bar) for prompt in self.prompts]
        self.drawn_at = self.step
        return self.pictures

    def _row(self, prompt, bar):
        first = bar.n
        return self.model.generate(
            prompt,
            self.count,
            seed=self.seed,
            on_batch=lambda finished: bar.update(first + finished - bar.n),
            **self.sampling,
        )


def in_notebook():
    """Whether this code runs in a Jupyter notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"
