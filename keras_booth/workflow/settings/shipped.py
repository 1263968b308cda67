"""The configs and photographs that come with the project: in a clone beside the package, or where pip put them."""

import os
import pathlib
from importlib import metadata

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


def with_shipped(flags):
    """Flags in which `--config quickstart` is the path of the config of that name, unless a file has that name.

    Returns:
        `(flags, folder)`: list of str; and the `Path` beside whose `photos/` such a config lies, or `None`.
    """
    flags, folder = list(flags), None
    for place, (flag, value) in enumerate(zip(flags, [*flags[1:], ""], strict=False)):
        joined = flag.startswith("--config=")
        name = flag.partition("=")[2] if joined else value if flag == "--config" else ""
        path = None if not name or os.path.exists(name) else shipped_configs().get(name)
        if path is not None:
            flags[place if joined else place + 1] = f"--config={path}" if joined else str(path)
            folder = path.parents[1]
    return flags, folder


def shipped_configs():
    """dict of the shipped configs' paths by name: `"quickstart"`."""
    folder = shipped_folder()
    return {} if folder is None else {path.stem: path for path in sorted((folder / "configs").glob("*.yaml"))}
