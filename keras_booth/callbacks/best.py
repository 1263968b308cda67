"""The weights worth keeping: scored while they train, and not the last ones by default."""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from keras_booth.callbacks.csv_log import CsvLog
from keras_booth.callbacks.steps import StepCallback
from keras_booth.data import PhotoSet
from keras_booth.dreambooth import DreamBooth, averaged
from keras_booth.evaluation import (
    Estimate,
    Metric,
    Protocol,
    default_metrics,
    default_prompts_of,
    read_references,
    score,
)
from keras_booth.tools.annotations import FilePath
from keras_booth.tools.errors import InputError
from keras_booth.tools.files.writing import whole_file
from keras_booth.tools.process.processes import is_first
from keras_booth.tools.progress import progress_bar

ROLES = ("subject", "prompt", "drift", "diversity")
COLUMNS = (*ROLES, "second", "drift_limit", "kept")
TABLE, WEIGHTS = "best.csv", "best.safetensors"
EVERY_PROMPT = 3  # of the default ones


def few_pictures(booth: DreamBooth, **sampling: Any) -> Protocol:
    """What is drawn at each measurement: one picture of every third of the default prompts, and 16 of the class.

    Args:
        booth: `DreamBooth`.
        **sampling: see `Protocol`.
    """
    prompts = default_prompts_of(booth)
    some = dataclasses.replace(prompts, templates=prompts.templates[::EVERY_PROMPT])
    return Protocol(some, 1, 16, sampling=sampling)


@dataclasses.dataclass(frozen=True)
class Measured:
    """What the scores of one step say.

    Args:
        step: int.
        subject, prompt: float, higher is better.
        drift: float, lower is better.
        diversity: float, for the curves alone.
        second: float, the product of subject and prompt as the next metrics see them that ask for these; NaN for none.
    """

    step: int
    subject: float
    prompt: float
    drift: float
    diversity: float
    second: float = math.nan

    def better_than(self, other: Measured | None, drift_limit: float) -> bool:
        """The rule: of those whose class stays what it was, the one with the highest product of subject and prompt.

        Args:
            other: `Measured`, or `None` if there was none yet.
            drift_limit: float, the upper end of the interval of the base's own drift. Of two that are above it the
                one with less drift is better. Of two that are equal, as shares of few pictures often are, the one with
                the higher `second` is; or else the one that was there before.
        """
        if other is None:
            return True
        mine, theirs = (measured.drift <= drift_limit for measured in (self, other))
        if mine != theirs:
            return mine
        if not mine:
            return self.drift < other.drift
        product, others = self.subject * self.prompt, other.subject * other.prompt
        return product > others or (product == others and self.second > other.second)


def value_of(found: Mapping[str, Sequence[Estimate]], role: str, place: int = 0) -> float:
    """What the metric at a place among those of a role says; NaN where there is none."""
    answers = found.get(role, ())
    return answers[place].value if place < len(answers) else math.nan


def second_of(found: Mapping[str, Sequence[Estimate]]) -> float:
    """`Measured.second`. Of a role that one metric alone asks for, its answer counts again."""
    if all(len(found.get(role, ())) < 2 for role in ROLES[:2]):
        return math.nan
    return math.prod(value_of(found, role, min(1, len(found[role]) - 1)) for role in ROLES[:2])


class KeepBest(StepCallback):
    """Has a model end with the best weights of its training, as some metrics see them.

    Every now and then the model draws its subject by a few prompts, and its class; see `Measured.better_than` for the
    rule. The scores go to `best.csv`, the weights that are best so far to `best.safetensors`. Where the optimizer keeps
    averages of the weights, they are what is drawn with and kept. Training goes on as if nothing had been drawn.

    Args:
        photos: folder of the subject's photographs, or a `PhotoSet`.
        folder: str or `Path` for the two files.
        every: int >= 1. Training steps between two measurements; the first is made before training, of the base.
        patience: int >= 1. Measurements without a better one after which training stops; `None` to go on to the end.
        metrics: sequence of `keras_booth.evaluation.Metric`, of which the first that answers a question counts, and the
            second where the first says the same; `None` for those of `default_metrics`.
        protocol: `keras_booth.evaluation.Protocol`; `None` for `few_pictures`.

    Raises:
        InputError: for numbers out of range, or metrics that leave one of the questions open.

    Example:

    ```python
    best = keras_booth.callbacks.KeepBest("photos/orange_dog", "best", every=50, patience=4)
    booth.fit(data, epochs=10, callbacks=[best])
    ```
    """

    def __init__(
        self,
        photos: FilePath | PhotoSet,
        folder: FilePath,
        every: int,
        patience: int | None = None,
        metrics: Sequence[Metric] | None = None,
        protocol: Protocol | None = None,
    ):
        super().__init__()
        for name, value in (("every", every), ("patience", patience)):
            if value is not None and value < 1:
                raise InputError(f"`{name}` must be >= 1. Received: {name}={value!r}")
        self.references = read_references(photos)
        self.folder = pathlib.Path(folder)
        self.every, self.patience = every, patience
        self.metrics, self.protocol = metrics, protocol
        self.log = CsvLog(self.folder / TABLE, COLUMNS)
        self.best, self.drift_limit, self.waited = None, None, 0

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)
        if self.metrics is None:
            self.metrics = default_metrics(model)
        answered = {role for metric in self.metrics for role in metric.roles.values()}
        missing = [role for role in ROLES[:3] if role not in answered]
        if missing:
            raise InputError(
                f"`metrics` must say something of the {missing[0]}. "
                f"Received: metrics={[metric.name for metric in self.metrics]}"
            )
        for metric in self.metrics:
            metric.prepare()
        self.protocol = self.protocol or few_pictures(model)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        super().on_train_begin(logs)
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.log.begin(self.start):
            self._go_on()
        else:
            self.measure()

    def on_steps(self, before: int) -> None:
        if self.passed(before, self.every) or self.step == self.stop:
            self.measure()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self.stop is None:
            self.restore()

    def measure(self) -> Measured:
        """Scores the model as it is, and keeps its weights if they are the best so far."""
        self.sync()
        with averaged(self.model):
            found = self._scores()
            measured = Measured(self.step, *(value_of(found, role) for role in ROLES), second_of(found))
            if self.drift_limit is None:
                drift = found["drift"][0]
                self.drift_limit = drift.value if drift.high is None else drift.high
            better = measured.better_than(self.best, self.drift_limit)
            if better:
                self.best, self.waited = measured, 0
                self._write()
            else:
                self.waited += 1
        values = {name: getattr(measured, name) for name in (*ROLES, "second")}
        self.log.add(self.step, values | {"drift_limit": self.drift_limit, "kept": float(better)})
        if self.patience is not None and self.waited >= self.patience:
            self.model.stop_training = True
        return measured

    def restore(self) -> int:
        """Gives the model the best weights. Returns the step that they are of."""
        with safe_open(self.folder / WEIGHTS, framework="numpy") as file:
            for name, variable in self._variables().items():
                variable.assign(file.get_tensor(name))
            return Measured(**json.loads(file.metadata()["measured"])).step

    def _scores(self) -> dict[str, list[Estimate]]:
        """dict of lists of `Estimate` by role, in the order of the metrics."""
        with progress_bar(self.protocol.pictures, "scored", "picture", leave=False) as bar:
            drawn = self.protocol.draw(self.model, lambda done: bar.update(done - bar.n))
        found = score(self.metrics, drawn, self.references)
        by_role = {}
        for metric in self.metrics:
            for name, role in metric.roles.items():
                if name in found:
                    by_role.setdefault(role, []).append(found[name])
        return by_role

    def _variables(self):
        return {f"{index:04d}": variable for index, variable in enumerate(self.model.trainable_variables)}

    def _write(self):
        if not is_first():
            return
        tensors = {name: keras.ops.convert_to_numpy(variable) for name, variable in self._variables().items()}
        notes = {"measured": json.dumps(dataclasses.asdict(self.best)), "drift_limit": json.dumps(self.drift_limit)}
        with whole_file(self.folder / WEIGHTS) as part:
            save_file(tensors, part, notes)

    def _go_on(self):
        """What a run knows that goes on. The weights may be of a step behind `start`, which will come again."""
        try:
            with safe_open(self.folder / WEIGHTS, framework="numpy") as file:
                notes = file.metadata()
            self.best = Measured(**json.loads(notes["measured"]))
            self.drift_limit = json.loads(notes["drift_limit"])
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            path = self.folder / WEIGHTS
            raise InputError(f"The best weights of the run are damaged: begin it again. Received: {path}") from error
        self.waited = sum(step > self.best.step for step in self.log.steps())
