"""Which backend Keras has, or will have, found out without loading it."""

import importlib.util
import json
import os
import pathlib
import sys

from keras_booth.tools.errors import InputError

BACKENDS = ("tensorflow", "jax")


def keras_json() -> pathlib.Path:
    """`Path` of Keras's settings: where Keras looks for them."""
    home = os.path.expanduser("~")
    folder = os.environ.get("KERAS_HOME", os.path.join(home if os.access(home, os.W_OK) else "/tmp", ".keras"))
    return pathlib.Path(folder, "keras.json").expanduser()


def find_backend() -> tuple[str, str]:
    """`(name, what says so)`; Keras's own choice where nothing is said."""
    config = getattr(sys.modules.get("keras"), "config", None)
    if config is not None:
        return config.backend(), f"keras.config.backend() == {config.backend()!r}"
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"], f"KERAS_BACKEND={os.environ['KERAS_BACKEND']}"
    try:
        settings = json.loads(keras_json().read_text("utf-8"))
    except (OSError, ValueError):
        settings = None  # Keras does without, too
    name = settings.get("backend") if isinstance(settings, dict) else None
    return (BACKENDS[0], "no other choice") if name is None else (name, f"backend={name!r} in {keras_json()}")


def require_backend() -> None:
    """Raises an `InputError` unless Keras runs on a backend that keras_booth knows, and that is installed."""
    name, source = find_backend()
    if name not in BACKENDS:
        raise InputError(
            "keras_booth runs on Keras's backends tensorflow and jax: set the environment variable "
            f"KERAS_BACKEND=tensorflow. Received: {source}"
        )
    if name not in sys.modules and importlib.util.find_spec(name) is None:
        raise InputError(
            f"Keras's backend {name} is not installed: pip install {name}, or set the environment variable "
            f"KERAS_BACKEND. Received: {source}"
        )
