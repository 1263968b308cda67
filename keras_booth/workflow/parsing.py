"""Command line and YAML <-> `RunConfig`."""

import argparse
import dataclasses
import difflib
import math
import re
import types
import typing

import jsonargparse
import yaml

from keras_booth.tools.errors import InputError
from keras_booth.tools.files.foreign import parsing
from keras_booth.tools.process.command import Parser, add_training_flags, option_names, user_path
from keras_booth.tools.process.shell import command_line
from keras_booth.tools.wording import shown
from keras_booth.workflow.config import RunConfig, SubjectOptions
from keras_booth.workflow.settings.hardware import with_hardware
from keras_booth.workflow.settings.inheritance import with_layers
from keras_booth.workflow.settings.kinds import describe
from keras_booth.workflow.settings.shipped import find_shipped
from keras_booth.workflow.settings.texts import keep_texts, named_values
from keras_booth.workflow.settings.yaml_text import check_size, load_yaml

GROUPS = {field.name: field.type for field in dataclasses.fields(RunConfig) if dataclasses.is_dataclass(field.type)}
MORE = "more_subjects"
ON_DEVICES = ("devices", "sharding", "processes", "coordinator", "process_id")
FLAGS_ALONE = ("config", *ON_DEVICES, "hardware", "resume", "help", "print_config")
MOST_BITS = 1000  # of a whole number
FIELDS = {f"{group}.{field.name}": field.type for group, kind in GROUPS.items() for field in dataclasses.fields(kind)}
# What other programs call it.
ALIASES = {
    "lr": "training.learning_rate",
    "epochs": "training.steps",
    "max_train_steps": "training.steps",
    "train_batch_size": "training.batch_size",
    "resolution": "base.image_size",
    "model": "base.preset",
    "pretrained_model_name_or_path": "base.preset",
    "instance_data_dir": "subject.photos",
    "class_data_dir": "prior.folder",
    "num_class_images": "prior.count",
    "output_dir": "output.folder",
    "ema": "training.ema_momentum",
    "gradient_accumulation_steps": "training.accumulation",
}


def make_parser():
    """The parser of `python -m keras_booth.train`: `--config`, and a flag for every field of `RunConfig`."""
    parser = jsonargparse.ArgumentParser(
        prog="python -m keras_booth.train",
        description="Teaches a Stable Diffusion base one subject from a few photographs (DreamBooth).",
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("--resume", metavar="RUN", help="Run folder of a run that was cut off, to go on with it.")
    # Taken out before the flags come here (`take_devices`).
    add_training_flags(parser)
    parser.add_argument(
        "--config",
        action="config",
        help="YAML file with any of these fields, or the name of one that comes along (list lists them). Later flags "
        "win.",
    )
    # Replaced before the flags come here (`with_hardware`).
    parser.add_argument(
        "--hardware",
        metavar="CARD",
        help="Settings that fit the base and its pictures into a graphics card or its memory, t4 or 24gb: precision, "
        "LoRA or not, batch size, optimizer. Estimated, not tried on each card. Later flags win.",
    )
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
    config, layers = parse_layers(flags)
    for layer in layers:
        if layer.sweep is not None:
            line = command_line("sweep", layer.path)
            raise InputError(f"sweep is for {line}, which makes many runs. Received: config={layer.path}")
    return config


def parse_sweep(flags, subjects=True):
    """Makes of flags what all runs of a sweep have, and finds what stands under `sweep`.

    Args:
        flags: List of str, as `parse_config` takes them, and `--sweep.NAME VALUE`.
        subjects: bool. Whether `sweep` may say the subjects, so that there need be none beside it.

    Returns:
        `(RunConfig, dict)`; the dict may be empty.

    Raises:
        InputError: as `parse_config`.
    """
    flags, own = sweep_flags(flags)
    none = ["--subject.photos=photos", "--subject.class_noun=subject"] if subjects else []
    config, layers = parse_layers([*none, *flags])
    content = {}
    for layer in layers:
        if not isinstance(layer.sweep, dict | types.NoneType):
            raise InputError(f"sweep must be a group of fields. Received: sweep={shown(layer.sweep)} in {layer.path}")
        content |= layer.sweep or {}
    return config, content | own


def sweep_flags(flags):
    """Flags without those of the group `sweep`, and a dict of what those say."""
    rest, own, flags = [], {}, list(flags)
    while flags:
        flag = flags.pop(0)
        name, joined, value = flag.partition("=")
        if not name.startswith("--sweep."):
            rest.append(flag)
            continue
        if not joined and not flags:
            raise InputError(f"{name} must be followed by a value. Received: {name}")
        name = name.removeprefix("--sweep.").replace("-", "_")
        own[name] = load_yaml(value if joined else flags.pop(0), f"--sweep.{name}")
    return rest, own


def parse_layers(flags):
    """`(RunConfig, list of `Layer` that it is made of)`; see `parse_config`."""
    for line, room in with_hardware(option_names(flags, "-", "_")):
        found = parse_plain(line)
        needed = 0 if room == math.inf else needed_bytes(found[0])
        if needed <= room:
            return found
    base, sizes = found[0].base, f"needed={needed / 1e9:.1f} GB of {room / 1e9:.1f}"
    raise InputError(
        f"--hardware has no settings with which base.preset={base.preset!r} is likely to fit: take a smaller base or "
        f"base.image_size, or choose the settings yourself, without --hardware. Received: {sizes}"
    )


def needed_bytes(config):
    """The memory that a run needs, estimated; 0 for a base whose sizes are not at hand."""
    # These two bring TensorFlow along, which most flags are read without.
    from keras_booth.bases import config_at_hand
    from keras_booth.workflow.memory import estimate

    try:
        base_config = config_at_hand(**dataclasses.asdict(config.base))
    except (InputError, OSError):  # said where the base is needed
        return 0
    return 0 if base_config is None else estimate(config, base_config).total


def parse_plain(flags):
    """`parse_layers` of flags without `--hardware`."""
    parser = make_parser()
    flags, layers, used = with_layers(flags)
    for layer in layers:
        check_layer(layer)
    check_flags(flags)
    # jsonargparse lets through what Python says of a number that is too large, of a text that is too deep.
    what = "The config or its flags cannot be read"
    with parsing(lambda reason: InputError(f"{what}: {reason}. Received: {shown(flags)}")):
        try:
            values = parser.parse_args(flags)
        except argparse.ArgumentError as error:
            raise InputError(explain(str(error))) from error
    for group in GROUPS:
        if not isinstance(values[group], jsonargparse.Namespace):
            raise InputError(f"{group} must be a group of fields. Received: {group}={values[group]!r}")
    keep_texts(values, flags, FIELDS, MORE)
    if any(layer.shipped for layer in layers):
        values.subject.photos = find_shipped(values.subject.photos)
    groups = parser.instantiate(values)
    config = RunConfig(**{group: groups[group] for group in GROUPS}, more_subjects=tuple(groups[MORE]))
    return config, used


def check_layer(layer):
    """Refuses a config that jsonargparse would stumble over, or follow elsewhere."""
    check_groups(load_yaml(layer.text, layer.path))
    for preset in layer.presets.values():
        groups = load_yaml(preset.text, layer.path)
        check_groups(groups)
        # Those of a base that this run does not have meet no parser.
        for group, fields in groups.items():
            for name in (f"{group}.{field}" for field in fields or ()):
                if name not in FIELDS:
                    raise InputError(_unknown(name))


def check_groups(content):
    """Refuses groups of fields that jsonargparse would stumble over, or follow elsewhere."""
    for name in content:
        if name in FLAGS_ALONE:
            raise InputError(
                f"{name} is no field of a config, but the flag --{name}. Received: {name}={shown(content[name])}"
            )
        if name in GROUPS and not isinstance(content[name], dict | types.NoneType):
            raise InputError(f"{name} must be a group of fields. Received: {name}={shown(content[name])}")
        if name == MORE:
            check_more(content[name])
        if isinstance(content[name], dict):
            for field, value in content[name].items():
                check_length(f"{name}.{field}", value)


def check_length(name, value):
    """Refuses a number that no float can hold, which jsonargparse does not expect."""
    if isinstance(value, int) and value.bit_length() > MOST_BITS:
        raise InputError(f"{name} must be a number below 2**{MOST_BITS}. Received: {name}={shown(f'{value:x}')}")


def check_flags(flags):
    """Refuses a list or group among the flags that is large beyond any use."""
    for name, value in named_values(flags):
        if (name in FIELDS and not takes_text(FIELDS[name])) or name == MORE:
            try:
                check_size(value)
                check_length(name, load_yaml(value, name))
            except yaml.YAMLError:
                continue  # for jsonargparse to say
            except InputError:
                raise
            except ValueError as error:
                raise InputError(f"{name} cannot be read: {error}. Received: {name}={shown(value)}") from error
            if name == MORE:
                check_more(load_yaml(value, f"--{MORE}"))


def check_more(subjects):
    """Refuses what is no list of groups of fields."""
    if not isinstance(subjects, list) or not all(isinstance(subject, dict) for subject in subjects):
        raise InputError(
            f"{MORE} must be a list of groups of fields like those of subject. Received: {MORE}={shown(subjects)}"
        )


def takes_text(kind):
    """Whether a field is a text, or may be one."""
    return str in (kind, *typing.get_args(kind))


def parse_train(flags):
    """Reads the flags of `python -m keras_booth.train`.

    Args:
        flags: List of str.

    Returns:
        `(folder, options of `resume`)` of a run to go on with, or `(None, RunConfig)` of a new one.

    Raises:
        InputError: as `parse_config`, and for settings beside `--resume`.
    """
    if not flags:
        example = command_line("train", "--subject.photos", "FOLDER", "--subject.class_noun", "dog")
        raise InputError(
            f"Say where the photographs are and what they show, as flags or in a YAML file: {example}, or "
            f"{command_line('train', '--config', 'FILE.yaml')}; --help lists all settings."
        )
    parser = Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--resume", type=user_path)
    found, rest = parser.parse_known_args(list(flags))
    if found.resume is None:
        return None, parse_config(rest)
    if not found.resume.strip():
        raise InputError(f"--resume must be the folder of a run. Received: --resume={found.resume!r}")
    parser = Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--training.steps", dest="steps", type=int)
    parser.add_argument("--other-versions", action="store_true")
    options, rest = parser.parse_known_args(rest)
    if rest:
        raise InputError(
            "--resume takes all settings from the run's config.yaml; beside it there may be --training.steps, for more "
            f"steps, and --other-versions. Received: {rest[0]}"
        )
    return found.resume, vars(options)


def read_config(path, *flags):
    """Makes a `RunConfig` of a YAML file, and of flags that override it."""
    return parse_config(["--config", str(path), *flags])


class Dumper(yaml.SafeDumper):
    """Writes a text so that it is read as that text."""


def _write_text(dumper, text):
    # PyYAML quotes what it would read as a number; jsonargparse reads some more as such, 1e-4 and 3e8.
    style = "'" if text[:1] in tuple("+-.0123456789") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


Dumper.add_representer(str, _write_text)


def to_yaml(config):
    """A `RunConfig` as YAML text, for `read_config`."""
    return yaml.dump(config.to_dict(), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)


def explain(message):
    """jsonargparse's message as one sentence about the field that the user wrote."""
    text = " ".join(message.split())
    if text.startswith(f'Parser key "{MORE}":'):
        return explain_more(text.rpartition("SubjectOptions':")[2].strip() or text)
    wrong = re.search(r'^Parser key "([\w.]+)":.*(?:Got|Given) value: ?(.*)$', text)
    if wrong and wrong[1] in FIELDS:
        return f"{wrong[1]} must be {describe(FIELDS[wrong[1]])}. Received: {wrong[1]}={wrong[2]}"
    missing = re.search(r"^the following arguments are required: (.*)$", text)
    if missing:
        fields = missing[1].split(", ")
        return f"{' and '.join(fields)} must be given, in the YAML file or as --{fields[0]} VALUE."
    unknown = (
        re.search(r"^Group '(?P<group>[\w.]+)' does not accept option '(?P<name>[^']*)'", text)
        or re.search(r"^Option '(?P<name>[^']*)' is not accepted", text)
        or re.search(r"^unrecognized arguments: ?(?P<name>\S*)", text)
    )
    if unknown:
        parts = unknown.groupdict()
        return _unknown(".".join(parts[key] for key in ("group", "name") if parts.get(key)))
    group = re.search(r'^Parser key "(\w+)": Unable to load config (.*)$', text)
    if group and group[1] in GROUPS:
        return f"{group[1]} must be a group of fields, or its fields --{group[1]}.NAME. Received: {group[1]}={group[2]}"
    about_file = re.search(r'^Parser key "[\w.]+": (.*)$', text) or re.search(r"^Problems parsing config: (.*)$", text)
    if about_file:
        return f"The config cannot be read: {about_file[1]}"
    if text.startswith("Key must be a string"):
        return f"The config cannot be read: {text}"
    return text


def explain_more(text):
    """A complaint about one of the further subjects as a sentence."""
    wrong = re.search(r'^Parser key "(\w+)":.*(?:Got|Given) value: ?(.*)$', text)
    if wrong and wrong[1] != MORE:
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


def _unknown(name):
    name = name.lstrip("-").partition("=")[0] or repr(name)
    close = suggestions(name)
    others = "".join(f" or {field}" for field in close[1:])
    hint = f"; did you mean {close[0]}{others}?" if close else "; --help lists all."
    return f"There is no field {name}{hint} Received: {name}"


def suggestions(name):
    """Fields that may be meant by a name that is none: those that end in it, or are written much like it."""
    last = [field for field in FIELDS if field.rpartition(".")[2] == name]
    if last:
        # `--steps` is that of the training first.
        return sorted(last, key=lambda field: not field.startswith("training."))
    if name in ALIASES:
        return [ALIASES[name]]
    close = difflib.get_close_matches(name, [*FIELDS, *GROUPS, "config", "hardware", "resume"], n=1, cutoff=0.7)
    if close or "." in name:
        return close
    ends = {field.rpartition(".")[2]: field for field in reversed(FIELDS)}
    return [ends[end] for end in difflib.get_close_matches(name, ends, n=1, cutoff=0.7)]
