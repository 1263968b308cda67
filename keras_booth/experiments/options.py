"""What stands under `sweep` in a config."""

import dataclasses
import difflib
from dataclasses import dataclass
from typing import Any

from keras_booth.tools.errors import InputError, require
from keras_booth.tools.prompts import require_prompt
from keras_booth.tools.wording import shown
from keras_booth.workflow.parsing import FIELDS, suggestions

# What is the sweep's own to say.
OWN = {"output.folder": "--output", "subject.photos": "sweep.subjects", "subject.class_noun": "sweep.subjects"}
LABEL = "label"


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """Many runs of one config.

    Args:
        grid: dict from a field to its values, each combination of which is a run: {training.steps: [600, 900]}.
        runs: list of dicts from a field to its value, each a run, or with a grid each combination of it. Among the
            fields may be a label, the run's name in tables and pictures.
        subjects: "tiny_world" for its ten, "dreambooth" for the thirty of the paper's data set, a folder of folders of
            photographs, or a list of groups of fields like those of subject. `None` for the config's own subject.
        only: list of str. Names of those of the subjects that are wanted; `None` for all.
        seeds: int. Runs of each, with `training.seed` and the numbers after it.
        base: bool. Whether the base is measured as well, before it learned anything.
        draw: dict from a field of `sampling` to its values, with each combination of which each model draws.
        prompt: str. What the models draw for the picture of all, with `{}` where the subject goes.
        prompts: list of str. What is measured, each with `{}`; `None` for those that fit the base and the subject.
        count: int. Pictures of each of them; 0 to measure nothing.
        class_count: int. Pictures of the class.
        seed: int. Seed of all pictures.
        keep_models: bool. Whether the models stay when they are measured.
    """

    grid: dict[str, list[Any]] = dataclasses.field(default_factory=dict)
    runs: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    subjects: str | list[dict[str, Any]] | None = None
    only: list[str] | None = None
    seeds: int = 1
    base: bool = False
    draw: dict[str, list[Any]] = dataclasses.field(default_factory=dict)
    prompt: str = "a photo of {} in the snow"
    prompts: list[str] | None = None
    count: int = 4
    class_count: int = 32
    seed: int = 1000
    keep_models: bool = True

    def __post_init__(self):
        for name in ("grid", "draw"):
            check_axes(name, getattr(self, name))
        for field in self.draw:
            if not field.startswith("sampling."):
                raise InputError(f"sweep.draw takes fields of sampling alone. Received: sweep.draw.{field}")
        check_runs(self.runs)
        several = isinstance(self.subjects, list) and self.subjects
        usable = self.subjects is None or (isinstance(self.subjects, str) and self.subjects.strip()) or several
        require(
            bool(usable),
            "sweep.subjects",
            "tiny_world, dreambooth, a folder of folders, or a list of groups of fields like those of subject",
            self.subjects,
        )
        for name, least in (("seeds", 1), ("count", 0), ("class_count", 2), ("seed", 0)):
            value = getattr(self, name)
            whole = isinstance(value, int) and not isinstance(value, bool)
            require(whole and value >= least, f"sweep.{name}", f"a whole number >= {least}", value)
        for name in ("base", "keep_models"):
            require(isinstance(getattr(self, name), bool), f"sweep.{name}", "true or false", getattr(self, name))
        for name in ("only", "prompts"):
            value = getattr(self, name)
            require(is_list_of_texts(value), f"sweep.{name}", "null or a list of texts", value)
        for prompt in (self.prompt, *(self.prompts or ())):
            require_place(prompt)


def check_axes(name, axes):
    """Refuses what is no dict from a field to a list of values."""
    if not isinstance(axes, dict):
        raise InputError(f"sweep.{name} must be fields with lists of values. Received: sweep.{name}={shown(axes)}")
    for field, values in axes.items():
        check_field(f"sweep.{name}", field)
        if not isinstance(values, list) or not values:
            raise InputError(f"sweep.{name}.{field} must be a list of values. Received: {shown(values)}")
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise InputError(f"sweep.{name}.{field} must be different values. Received: {shown(twice)} twice")


def check_runs(runs):
    """Refuses what is no list of dicts from a field to a value."""
    if not isinstance(runs, list) or not all(isinstance(run, dict) for run in runs):
        raise InputError(f"sweep.runs must be a list of fields with values. Received: sweep.runs={shown(runs)}")
    for run in runs:
        for field in run.keys() - {LABEL}:
            check_field("sweep.runs", field)
        require(isinstance(run.get(LABEL, ""), str), "sweep.runs.label", "a text", run.get(LABEL))
    twice = next((run for run in runs if runs.count(run) > 1), None)
    if twice is not None:
        raise InputError(f"sweep.runs must be different runs. Received: {shown(twice)} twice")


def check_field(where, name):
    """Refuses what is no field of a run, or not a sweep's to change."""
    if name in OWN:
        raise InputError(f"{name} is said by {OWN[name]}. Received: {where}.{name}")
    if name not in FIELDS:
        close = suggestions(str(name))
        hint = f"; did you mean {close[0]}?" if close else "."
        raise InputError(f"There is no field {name}{hint} Received: {where}.{name}")


def is_list_of_texts(value):
    """Whether it is `None`, or a list of at least one text."""
    return value is None or (isinstance(value, list) and bool(value) and all(isinstance(one, str) for one in value))


def require_place(prompt):
    """Refuses a prompt in which there is no place for the subject."""
    if not isinstance(prompt, str) or prompt.count("{}") != 1:
        raise InputError(f"A prompt of a sweep must have one {{}}, where the subject goes. Received: {shown(prompt)}")
    require_prompt(prompt, "sweep.prompt")


def sweep_options(content):
    """`SweepOptions` of what stands under `sweep`.

    Raises:
        InputError: for a name that is none of its fields, or a value that it does not take.
    """
    if not isinstance(content, dict):
        raise InputError(f"sweep must be a group of fields. Received: sweep={shown(content)}")
    names = [field.name for field in dataclasses.fields(SweepOptions)]
    for name in content:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
            hint = f"; did you mean sweep.{close[0]}?" if close else f"; there are {', '.join(names)}."
            raise InputError(f"There is no field sweep.{name}{hint} Received: sweep.{name}")
    return SweepOptions(**content)
