"""The configs and photographs that come with the project: in a clone beside the package, or where pip put them."""

import pathlib
from importlib import metadata

PACKAGE = pathlib.Path(__file__).parents[1]
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


def shipped_configs():
    """dict of the shipped configs' paths by name: `"quickstart"`."""
    folder = shipped_folder()
    return {} if folder is None else {path.stem: path for path in sorted((folder / "configs").glob("*.yaml"))}
