"""The subjects of a sweep."""

import dataclasses
import difflib
import functools
import pathlib
import re
from collections.abc import Callable
from typing import Any

import tensorflow_datasets as tfds

from keras_booth.data import DATASET_SUBJECTS, dreambooth_builder, subject_folder
from keras_booth.experiments.cases import PROMPTS, tiny_world_cases
from keras_booth.tools.errors import InputError
from keras_booth.tools.files.paths import expand_home
from keras_booth.tools.wording import shown

TINY_WORLD, DREAMBOOTH = "tiny_world", "dreambooth"


@dataclasses.dataclass(frozen=True)
class Subject:
    """One of the subjects.

    Args:
        name: str, of its own among all.
        fields: dict of values of the group `subject` that are its own.
        prompts: list of str, its own with `{}`; `None` for those that fit the base.
        make: callable that makes the photographs; `None` where they are there.
    """

    name: str
    fields: dict[str, Any]
    prompts: list[str] | None = None
    make: Callable[[], object] | None = None


def find_subjects(options, config, folder):
    """The subjects of a sweep: list of `Subject`.

    Args:
        options: `SweepOptions`.
        config: `RunConfig` that all runs are made of.
        folder: `Path` where photographs will be that are made.

    Raises:
        InputError: for a folder without subjects, and for a name that none has.
    """
    found = options.subjects
    if found is None:
        subjects = [Subject(config.subject.class_noun, {})]
    elif isinstance(found, list):
        subjects = listed(found)
    elif found == TINY_WORLD:
        subjects = of_tiny_world(config, folder)
    elif found == DREAMBOOTH:
        subjects = of_the_dataset(folder)
    else:
        subjects = in_folder(pathlib.Path(expand_home(found, "sweep.subjects")))
    return chosen(subjects, options.only)


def chosen(subjects, only):
    """Those of the names that are wanted."""
    if only is None:
        return subjects
    names = [subject.name for subject in subjects]
    for name in only:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(names)}."
            raise InputError(f"There is no subject {name}{hint} Received: sweep.only={shown(only)}")
    return [subject for subject in subjects if subject.name in only]


def listed(groups):
    """Subjects that stand in the config."""
    for group in groups:
        if not isinstance(group, dict) or not {"photos", "class_noun"} <= group.keys():
            raise InputError(f"Each of sweep.subjects must have photos and class_noun. Received: {shown(group)}")
    names = [pathlib.Path(str(group["photos"])).name for group in groups]
    return [
        Subject(name if names.count(name) == 1 else f"{name} {number}", group)
        for number, (name, group) in enumerate(zip(names, groups, strict=True), start=1)
    ]


def in_folder(folder):
    """A subject for each folder in a folder: a checkout of the DreamBooth data set, or folders named by their class.

    The class is the name before the first hyphen, without a number at its end, underscores as spaces: `dog`, `dog2`,
    `dog-rex`, `stuffed_animal-bear`.
    """
    received = f"Received: sweep.subjects={shown(str(folder))}"
    if not folder.is_dir():
        raise InputError(f"sweep.subjects must be a folder of folders of photographs. {received}")
    of_dataset = [one for one in DATASET_SUBJECTS if subject_folder(folder, one.name).is_dir()]
    if len(of_dataset) == len(DATASET_SUBJECTS) or (folder / "dataset").is_dir():
        return [as_subject(one, subject_folder(folder, one.name)) for one in of_dataset]
    folders = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not folders:
        raise InputError(f"There is no folder of photographs in sweep.subjects. {received}")
    return [Subject(path.name, {"photos": str(path), "class_noun": class_noun(path.name)}) for path in folders]


def class_noun(name):
    """The class that a folder's name says."""
    noun = re.sub(r"\d+$", "", name.partition("-")[0]).replace("_", " ").strip()
    if not noun:
        raise InputError(f"A folder of photographs must be named by its class: dog, dog2, dog-rex. Received: {name}")
    return noun


def of_tiny_world(config, folder):
    """The ten of the tiny world, whose photographs are rendered."""
    prompts = list(PROMPTS.templates)
    return [
        Subject(
            case.name,
            {"photos": str(case.photos), "class_noun": case.name},
            prompts,
            functools.partial(case.write_photos, config),
        )
        for case in tiny_world_cases(folder)
    ]


def of_the_dataset(folder):
    """The thirty of the DreamBooth data set, as TensorFlow Datasets prepares them: downloaded once."""
    found = [as_subject(one, folder / one.name) for one in DATASET_SUBJECTS]
    return [
        dataclasses.replace(subject, make=functools.partial(write_from_dataset, one, folder / one.name))
        for subject, one in zip(found, DATASET_SUBJECTS, strict=True)
    ]


def write_from_dataset(one, folder):
    """Writes a subject's photographs, as they are, where they are not there yet."""
    if len(list(folder.glob("*.jpg"))) == one.count:
        return
    builder = dreambooth_builder(one.name)
    builder.download_and_prepare()
    folder.mkdir(parents=True, exist_ok=True)
    as_files = {"image": tfds.decode.SkipDecoding()}
    for example in tfds.as_numpy(builder.as_dataset(split="train", decoders=as_files)):
        (folder / example["filename"].decode()).write_bytes(example["image"])


def as_subject(one, folder):
    """A `Subject` of the DreamBooth data set."""
    return Subject(one.name, {"photos": str(folder), "class_noun": one.class_noun}, list(one.prompts))
