"""Command line and YAML <-> `RunConfig`."""

import argparse
import dataclasses
import difflib
import re
import types
import typing

import jsonargparse
import yaml

from keras_booth.tools.errors import InputError
from keras_booth.workflow.config import RunConfig, SubjectOptions
from keras_booth.workflow.errors import Parser

GROUPS = {field.name: field.type for field in dataclasses.fields(RunConfig) if dataclasses.is_dataclass(field.type)}
MORE = "more_subjects"
FIELDS = {f"{group}.{field.name}": field.type for group, kind in GROUPS.items() for field in dataclasses.fields(kind)}
WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", type(None): "null"}


def make_parser():
    """The parser of `python -m keras_booth.train`: `--config`, and a flag for every field of `RunConfig`."""
    parser = jsonargparse.ArgumentParser(
        prog="python -m keras_booth.train",
        description="Teaches a Stable Diffusion base one subject from a few photographs (DreamBooth).",
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("--resume", metavar="RUN", help="Run folder of a run that was cut off, to go on with it.")
    parser.add_argument("--config", action="config", help="YAML file with any of the fields below; later flags win.")
    for group, kind in GROUPS.items():
        parser.add_class_arguments(kind, group)
    parser.add_argument(
        f"--{MORE}",
        type=list[SubjectOptions],
        default=[],
        help="List of further subjects, each with the fields of the group subject.",
    )
    return parser


def parse_config(flags):
    """Makes a `RunConfig` of flags.

    Args:
        flags: List of str: `["--config", "configs/quickstart.yaml", "--training.steps", "10"]`. Later ones win.

    Raises:
        InputError: With one sentence, for an unknown field, a value of the wrong kind or an unreadable file.
    """
    parser = make_parser()
    try:
        values = parser.parse_args(list(flags))
    except UnicodeDecodeError as error:
        raise InputError(f"The config file is not text: {error}.") from error
    except argparse.ArgumentError as error:
        raise InputError(explain(str(error))) from error
    for group in GROUPS:
        if not isinstance(values[group], jsonargparse.Namespace):
            raise InputError(f"{group} must be a group of fields. Received: {group}={values[group]!r}")
    groups = parser.instantiate(values)
    return RunConfig(**{group: groups[group] for group in GROUPS}, more_subjects=tuple(groups[MORE]))


def parse_train(flags):
    """Reads the flags of `python -m keras_booth.train`.

    Args:
        flags: List of str.

    Returns:
        `(folder, None)` of a run to go on with, or `(None, RunConfig)` of a new one.

    Raises:
        InputError: as `parse_config`, and for settings beside `--resume`.
    """
    parser = Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--resume")
    found, rest = parser.parse_known_args(list(flags))
    if found.resume is None:
        return None, parse_config(rest)
    if rest:
        raise InputError(
            f"--resume takes all settings from the run's config.yaml; leave out others. Received: {rest[0]}"
        )
    return found.resume, None


def read_config(path, *flags):
    """Makes a `RunConfig` of a YAML file, and of flags that override it."""
    return parse_config(["--config", str(path), *flags])


def to_yaml(config):
    """A `RunConfig` as YAML text, for `read_config`."""
    return yaml.safe_dump(config.to_dict(), sort_keys=False, allow_unicode=True, width=120)


def explain(message):
    """jsonargparse's message as one sentence about the field that the user wrote."""
    text = " ".join(message.split())
    if text.startswith(f'Parser key "{MORE}":'):
        return explain_more(text.rpartition("SubjectOptions':")[2].strip() or text)
    wrong = re.search(r'^Parser key "([\w.]+)":.*(?:Got|Given) value: (.*)$', text)
    if wrong and wrong[1] in FIELDS:
        return f"{wrong[1]} must be {describe(FIELDS[wrong[1]])}. Received: {wrong[1]}={wrong[2]}"
    missing = re.search(r"^the following arguments are required: (.*)$", text)
    if missing:
        fields = missing[1].split(", ")
        return f"{' and '.join(fields)} must be given, in the YAML file or as --{fields[0]} VALUE."
    unknown = (
        re.search(r"^Group '(?P<group>[\w.]+)' does not accept option '(?P<name>[^']*)'", text)
        or re.search(r"^Option '(?P<name>[^']*)' is not accepted", text)
        or re.search(r"^unrecognized arguments: (?P<name>\S+)", text)
    )
    if unknown:
        parts = unknown.groupdict()
        return _unknown(".".join(parts[key] for key in ("group", "name") if parts.get(key)))
    about_file = re.search(r'^Parser key "[\w.]+": (.*)$', text) or re.search(r"^Problems parsing config: (.*)$", text)
    if about_file:
        return f"The config cannot be read: {about_file[1]}"
    if text.startswith("Unexpected config:"):
        return f"The config file must hold groups of fields: {', '.join(GROUPS)}. Received:{text.partition(':')[2]}"
    return text


def explain_more(text):
    """A complaint about one of the further subjects as a sentence."""
    wrong = re.search(r'^Parser key "(\w+)":.*(?:Got|Given) value: (.*)$', text)
    if wrong:
        kind = FIELDS[f"subject.{wrong[1]}"]
        return f"{wrong[1]} in {MORE} must be {describe(kind)}. Received: {wrong[1]}={wrong[2]}"
    missing = re.search(r"^the following arguments are required: (.*)$", text)
    if missing:
        return f"Each of {MORE} must have {missing[1].replace(', ', ' and ')}. Received: one without."
    unknown = re.search(r"^Option '([^']*)' is not accepted", text)
    if unknown:
        return f"There is no field {unknown[1]} in {MORE}; it has those of subject. Received: {unknown[1]}"
    received = text.rpartition(": ")[2]
    return f"{MORE} must be a list of groups of fields like those of subject. Received: {MORE}={received}"


def describe(kind):
    """A field's type in words."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        choices = [choice for part in typing.get_args(kind) for choice in _choices(part)]
        return ", ".join(choices[:-1]) + f" or {choices[-1]}"
    return " or ".join(_choices(kind))


def _choices(kind):
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return [str(part) for part in parts]
    if origin is dict:
        return ["a group of names and values"]
    if origin is tuple:
        return ["a list of texts" if parts[0] is str else f"a list of {len(parts)} whole numbers"]
    return [WORDS[kind]]


def _unknown(name):
    name = name.lstrip("-").partition("=")[0]
    close = difflib.get_close_matches(name, [*FIELDS, *GROUPS, "config"], n=1, cutoff=0.7)
    hint = f"; did you mean {close[0]}?" if close else "; --help lists all."
    return f"There is no field {name}{hint} Received: {name}"
