"""Configs that build on others (`base_config`), and that say of a base what fits it (`presets`)."""

import dataclasses
import difflib
import os
import pathlib
from typing import Any

import yaml

from keras_booth.tools.errors import InputError
from keras_booth.tools.files.paths import expand_home
from keras_booth.tools.preset_names import PRESET_NAMES
from keras_booth.tools.wording import shown
from keras_booth.workflow.config import RunConfig
from keras_booth.workflow.settings.shipped import find_config, shipped_configs
from keras_booth.workflow.settings.texts import named_values
from keras_booth.workflow.settings.yaml_text import Loader, load_yaml, read_config_text

BASE_CONFIG, PRESETS, SWEEP = "base_config", "presets", "sweep"
DEFAULT_PRESET = "tiny_world"
MOST_LAYERS = 16


@dataclasses.dataclass(frozen=True)
class Layer:
    """One config file, or what it says of one preset.

    Args:
        path: str.
        text: str. YAML of its groups of fields, as they stand there.
        sweep: what stands under `sweep`; `None` for nothing.
        presets: dict of `Layer`, by the preset for which it counts.
        shipped: bool. Whether it was found by its name, among those that come along.
    """

    path: str
    text: str
    sweep: Any = None
    presets: dict[str, "Layer"] = dataclasses.field(default_factory=dict)
    shipped: bool = False


def layers_of(path, shipped=False, below=()):
    """A config file, and before it all that it builds on: list of `Layer`.

    Args:
        path: str.
        shipped: bool. Whether it was found by its name.
        below: tuple of str. The files that build on it.

    Raises:
        InputError: for a file that cannot be read, that holds no groups of fields, or leads back to itself.
    """
    whole = os.path.realpath(path)
    if whole in below:
        circle = " -> ".join([*below[below.index(whole) :], whole])
        raise InputError(f"base_config must not lead back to where it began: {circle}. Received: config={below[0]}")
    if len(below) == MOST_LAYERS:
        raise InputError(f"At most {MOST_LAYERS} configs may build on one another. Received: config={below[0]}")
    text = read_config_text(path)
    content = load_yaml(text, f"config={path}")
    if not isinstance(content, dict):
        groups = ", ".join(field.name for field in dataclasses.fields(RunConfig))
        raise InputError(f"The config file must hold groups of fields: {groups}. Received: {shown(content)} in {path}")
    layer = Layer(
        str(path),
        without(text, BASE_CONFIG, PRESETS, SWEEP),
        content.get(SWEEP),
        presets_of(path, content.get(PRESETS), text),
        shipped,
    )
    if BASE_CONFIG not in content:
        return [layer]
    return [*layers_of(*find_base(path, content[BASE_CONFIG]), (*below, whole)), layer]


def without(text, *names):
    """YAML of a group without some of its names; all else as it was written."""
    node = yaml.compose(text, Loader)
    kept = [(name, value) for name, value in node.value if name.value not in names]
    if len(kept) == len(node.value):
        return text
    node.value = kept
    return yaml.serialize(node, Dumper=yaml.SafeDumper, allow_unicode=True)


def presets_of(path, content, text):
    """What a file says of presets: dict of `Layer`.

    Args:
        path: str.
        content: what stands under `presets`; `None` for nothing.
        text: str. YAML of the whole file.
    """
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(groups, dict) for groups in content.values()):
        raise InputError(
            "presets must hold groups of fields for a preset: presets: {tiny_world: {training: {steps: 300}}}. "
            f"Received: presets={shown(content)} in config={path}"
        )
    for name in content:
        if name not in PRESET_NAMES:
            close = difflib.get_close_matches(name, PRESET_NAMES, n=1)
            hint = f"; did you mean {close[0]}?" if close else f", but {', '.join(PRESET_NAMES)}."
            raise InputError(f"There is no preset {name}{hint} Received: presets.{name} in config={path}")
    (node,) = [value for name, value in yaml.compose(text, Loader).value if name.value == PRESETS]
    found = {}
    for name, groups in node.value:
        text = yaml.serialize(groups, Dumper=yaml.SafeDumper, allow_unicode=True)
        found[name.value] = Layer(str(path), without(text, SWEEP), content[name.value].get(SWEEP))
    return found


def find_base(path, name):
    """What a config builds on, beside it, or one that comes along: `(path, shipped)`."""
    received = f"Received: base_config={shown(name)} in config={path}"
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"base_config must be the path of a config, from this one. {received}")
    beside = pathlib.Path(path).parent / expand_home(name, BASE_CONFIG)
    if beside.exists():
        return str(beside), False
    if name in shipped_configs():
        return str(shipped_configs()[name]), True
    raise InputError(f"base_config must be a file that is there, from {pathlib.Path(path).parent} on. {received}")


def with_layers(flags):
    """Flags in which each `--config FILE` is replaced by the texts of all configs that it builds on.

    What they say of the preset that is chosen in the end comes behind them, and before all later flags.

    Args:
        flags: list of str.

    Returns:
        `(flags, layers, used)`: list of str; list of `Layer` that were read; and of those that count, in order.
    """
    found, places, layers, used = [], {}, [], []
    rest = list(flags)
    while rest:
        flag = rest.pop(0)
        name, joined, value = flag.partition("=")
        # One without a value is the parser's to refuse.
        if name != "--config" or not (joined or rest):
            found.append(flag)
            continue
        path, shipped = find_config(value if joined else rest.pop(0))
        mine = layers_of(expand_home(path, "config"), shipped)
        found += [as_flag(layer.text) for layer in mine]
        places[len(found)] = mine
        layers += mine
    preset = chosen_preset(found)
    for place, mine in reversed(places.items()):
        fitting = [layer.presets[preset] for layer in mine if preset in layer.presets]
        found[place:place] = [as_flag(layer.text) for layer in fitting]
        used[:0] = [*mine, *fitting]
    return found, layers, used


def as_flag(text):
    """A config's text as a flag, which jsonargparse takes for no path."""
    return f"--config=\n{text}"


def chosen_preset(flags):
    """The preset that flags and the texts of configs ask for."""
    chosen = DEFAULT_PRESET
    for name, value in named_values(flags):
        if name == "base.preset":
            chosen = value
        elif name == "config":
            base = (load_yaml(value, "config") or {}).get("base")
            chosen = base.get("preset", chosen) if isinstance(base, dict) else chosen
    return chosen
