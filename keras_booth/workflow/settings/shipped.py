"""The configs and photographs that come with the project: in a clone beside the package, or where pip put them."""

import difflib
import os
import pathlib
import re
from importlib import metadata

from keras_booth.tools.errors import InputError

PACKAGE = pathlib.Path(__file__).parents[2]
SHARE = "share/keras_booth"


def shipped_folder():
    """`Path` of the folder that holds `configs/` and `photos/`, or `None` where they were not installed."""
    clone = PACKAGE.parent
    if (clone / "configs" / "quickstart.yaml").is_file():
        return clone
    try:
        files = metadata.files("keras_booth") or []
    except metadata.PackageNotFoundError:
        return None
    configs = [path for path in files if path.as_posix().endswith(f"{SHARE}/configs/quickstart.yaml")]
    return pathlib.Path(configs[0].locate()).resolve().parents[1] if configs else None


def find_config(name):
    """Where a config is, `(path, shipped)`: a file that is there, or else one of that name that comes along."""
    path = None if not name or os.path.exists(name) else shipped_config(name)
    return (name, False) if path is None else (str(path), True)


def find_shipped(path):
    """The path of photographs of a shipped config: as it is, or, where nothing is there, beside the shipped configs."""
    folder = shipped_folder()
    if not path or folder is None or os.path.exists(path) or not (folder / path).exists():
        return path
    return str(folder / path)


def shipped_config(name):
    """`Path` of the shipped config of a name, or `None` for what is no name but a path.

    Raises:
        InputError: for a name that none of them has.
    """
    found = shipped_configs()
    if name in found or not re.fullmatch(r"\w[\w.-]*", name) or name.endswith((".yaml", ".yml", ".json")):
        return found.get(name)
    close = difflib.get_close_matches(name, found, n=1)
    hint = f"did you mean {close[0]}?" if close else "--config list lists those that come along."
    raise InputError(f"There is no config {name}, nor a file of that name; {hint} Received: --config={name}")


def describe_configs():
    """What `--config list` says: the name of each shipped config, and what it is for."""
    lines = ["Configs that come along, for --config NAME:"]
    for name, path in shipped_configs().items():
        comment = re.match(r"(?:#.*\n)*", path.read_text(encoding="utf-8"))[0].splitlines()
        lines += [f"  {name}", *(f"      {line.lstrip('# ')}" for line in comment)]
    return "\n".join(lines)


def shipped_configs():
    """dict of the shipped configs' paths by name: `"quickstart"`."""
    folder = shipped_folder()
    return {} if folder is None else {path.stem: path for path in sorted((folder / "configs").glob("*.yaml"))}
