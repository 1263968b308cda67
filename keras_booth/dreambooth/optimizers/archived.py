"""Optimizers in a `.keras` file -> objects: Keras's own, and those that somebody registered in this process."""

from typing import Any

import keras

from keras_booth.tools.errors import InputError
from keras_booth.tools.files.foreign import parsing
from keras_booth.tools.wording import shown

# What an optimizer's config may name: itself, an inner one, schedules of the learning rate.
MODULES = ("keras.optimizers", "keras.optimizers.schedules")


def deserialized(config: Any) -> keras.optimizers.Optimizer:
    """The optimizer of a config that a file has. No module is imported, and nothing called but its constructors.

    Raises:
        InputError: for a config of something else, or one that it refuses.
    """
    refuse_strangers(config)
    # Keras takes the config apart, and hands it to constructors: each complains in its own way.
    with parsing(
        lambda reason: InputError(
            f"optimizer in compile_config is none ({reason}). Received: optimizer={shown(config)}"
        )
    ):
        optimizer = keras.optimizers.deserialize(config)
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise InputError(f"optimizer in compile_config must be one. Received: optimizer={shown(config)}")
    return optimizer


def refuse_strangers(config):
    """Refuse a config that names classes or functions of other modules, anywhere in it."""
    if isinstance(config, (list, tuple)):
        for item in config:
            refuse_strangers(item)
    if not isinstance(config, dict):
        return
    if "class_name" in config:
        registered = config.get("registered_name")
        known = isinstance(registered, str) and keras.saving.get_registered_object(registered) is not None
        if not known and config.get("module") not in MODULES:
            raise InputError(
                f"optimizer in compile_config must be of {MODULES[0]}, or registered in this process. "
                f"Received: class_name={shown(config['class_name'])} of the module {shown(config.get('module'))}"
            )
    for item in config.values():
        refuse_strangers(item)
