"""The runs of a sweep, as its config says them."""

import dataclasses
import itertools
import json
import pathlib

from keras_booth.data import find_photos
from keras_booth.experiments.options import LABEL, SweepOptions, sweep_options
from keras_booth.experiments.subjects import Subject, find_subjects
from keras_booth.tools.errors import InputError
from keras_booth.version import __version__
from keras_booth.workflow.build import with_whole_paths
from keras_booth.workflow.config import RunConfig
from keras_booth.workflow.files import stem
from keras_booth.workflow.parsing import parse_sweep

BASE_LABEL = "the base, untouched"
# What of the options counts for a run's pictures and files.
MEASURED = ("prompt", "count", "class_count", "seed", "keep_models")


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of a sweep, with all that is drawn with its model.

    Args:
        name: str. Its folder's.
        label: str. What its settings are, in words, the same for all subjects and seeds; "" where nothing differs.
        subject: `Subject`.
        run: int. Which of several runs that differ in their seed.
        settings: dict of values by field, of what the sweep changes.
        config: `RunConfig`.
        trained: bool. Whether it is a run at all, and not the base.
    """

    name: str
    label: str
    subject: Subject
    run: int
    settings: dict
    config: RunConfig
    trained: bool = True


@dataclasses.dataclass(frozen=True)
class Plan:
    """All of a sweep.

    Args:
        options: `SweepOptions`.
        cells: list of `Cell`.
        draws: list of dicts of values by field of `sampling`; of one empty dict where nothing differs.
    """

    options: SweepOptions
    cells: list[Cell]
    draws: list[dict]


def make_plan(flags, output):
    """`Plan` of a sweep, of what stands under `sweep` in its config; see `plan_of`."""
    own = next((flag for flag in flags if flag.partition("=")[0] == "--output.folder"), None)
    if own is not None:
        raise InputError(f"The folder of a sweep is --output, and each run has one in it. Received: {own}")
    _, content = parse_sweep(flags)
    return plan_of(flags, content, output)


def plan_of(flags, content, output):
    """`Plan` of a sweep.

    Args:
        flags: list of str, the first of them `--config`, with fields that override those of the file.
        content: dict of fields of `SweepOptions`.
        output: `Path` of the folder of results, where photographs will be that are made.

    Raises:
        InputError: for a mistake in any of the runs.
    """
    base, _ = parse_sweep(flags)
    options = sweep_options(content)
    if options.subjects is None:
        parse_sweep(flags, subjects=False)
    subjects = find_subjects(options, base, output / "photos")
    rows = list(itertools.product(options.runs or [{}], combinations(options.grid)))
    draws = combinations(options.draw)
    # By what the config says, and not by how many there are: of more subjects the first keep their folders.
    cells, several = [], options.subjects is not None
    for subject in subjects:
        own = fields_of(subject)
        if subject.make is None:
            find_photos(subject.fields.get("photos", base.subject.photos))
        if options.base:
            config, _ = parse_sweep([*flags, *own])
            cells.append(named(subject, several, BASE_LABEL, 0, {}, config, trained=False))
        for one, point in rows:
            settings = {name: value for name, value in one.items() if name != LABEL}
            words = (one.get(LABEL) or label_of(settings, options), label_of(point, options))
            settings |= point
            config, _ = parse_sweep([*flags, *own, *as_flags(settings)])
            label = ", ".join(part for part in words if part)
            for run in range(options.seeds):
                seeded = config.replace("training", seed=config.training.seed + run)
                cells.append(named(subject, several, label, run, settings, seeded))
    check_names(cells)
    for draw in draws:
        parse_sweep([*flags, *fields_of(subjects[0]), *as_flags(draw)])
    if len(cells) * len(draws) == 1 and not options.count:
        raise InputError("A sweep needs at least two runs, or something to measure. Received: one run, sweep.count=0")
    return Plan(options, cells, draws)


def combinations(axes):
    """Each combination of values: list of dicts by field."""
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def named(subject, several, label, run, settings, config, trained=True):
    """A `Cell` with a folder's name of its own."""
    parts = [subject.name if several else "", label, f"run {run + 1}" if run else ""]
    name = stem(", ".join(part for part in parts if part) or "run")
    config = with_whole_paths(config).replace("output", folder="run")
    return Cell(name, label, subject, run, settings, config, trained)


def check_names(cells):
    """Refuses two runs of one name: two labels that are the same."""
    names = [cell.name for cell in cells]
    twice = next((cell for cell in cells if names.count(cell.name) > 1), None)
    if twice:
        raise InputError(f"Each run of a sweep must have a label of its own. Received: {twice.label!r} twice")


def fields_of(subject):
    """Flags that say which subject it is."""
    return as_flags({f"subject.{name}": value for name, value in subject.fields.items()})


def as_flags(settings):
    """Flags of values as YAML has them."""
    return [f"--{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in settings.items()]


def label_of(settings, options):
    """ "learning_rate 1e-06, training.steps 600": with the group where two fields of a sweep have one name."""
    fields = {name for row in ({}, *options.runs) for name in row} | {*options.grid, *options.draw}
    ends = [name.rpartition(".")[2] for name in fields]
    short = {name: end if ends.count(end) == 1 else name for name in fields if (end := name.rpartition(".")[2])}
    return ", ".join(f"{short[name]} {in_words(value)}" for name, value in settings.items())


def in_words(value):
    """A value as it stands in a label."""
    return json.dumps(value) if not isinstance(value, str) else value


def draw_name(draw, options):
    """Name of the folder of one way of drawing."""
    return stem(label_of(draw, options) or "as the config says")


def description(plan, cell, encoders):
    """All that a run depends on, for its folder: a dict for JSON."""
    options = {name: value for name, value in dataclasses.asdict(plan.options).items() if name in MEASURED}
    return {
        "label": cell.label,
        "subject": cell.subject.name,
        "prompts": plan.options.prompts or cell.subject.prompts,
        "run": cell.run,
        "settings": cell.settings,
        "trained": cell.trained,
        "version": __version__,
        "draws": [{"name": draw_name(draw, plan.options), "settings": draw} for draw in plan.draws],
        "measured": options,
        "encoders": {name: path and str(pathlib.Path(path).absolute()) for name, path in encoders.items()},
        "config": json.loads(json.dumps(cell.config.to_dict())),
    }
