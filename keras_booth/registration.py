"""`keras.saving.load_model` knows our classes as soon as `keras_booth` was imported, though their rooms were not."""

import importlib
from types import ModuleType

import wrapt

# Registered name -> the room that offers the class. Of every version's `.keras` files: these names never change.
CLASSES = {"keras_booth>DreamBooth": "keras_booth.dreambooth"}


def register_when_keras_is_imported() -> None:
    """Put a stand-in for each class into Keras's table: at once if Keras is there, otherwise when it comes."""
    wrapt.register_post_import_hook(register_stand_ins, "keras")


def register_stand_ins(_keras: ModuleType) -> None:
    """Put a stand-in for each class into Keras's table, where the class itself is not in it yet.

    Imports nothing of ours: the hook runs inside of an import of Keras, which may be inside of one of ours.
    """
    # Waits where another thread is about to import Keras, and the module that the hook got is not whole.
    from keras.saving import get_custom_objects

    for registered, room in CLASSES.items():
        get_custom_objects().setdefault(registered, stand_in(registered.partition(">")[2], room))


def stand_in(name: str, room: str) -> type:
    """A class that Keras takes for `name` of `room`, and that makes one of these.

    The class itself takes its place in Keras's table when it is imported. Keras still shows the stand-in to what it
    loads just then, so that the class must be asked for by its name here and not in Keras's table.
    """

    def from_config(config):
        """An object of the class that this one stands for."""
        return getattr(importlib.import_module(room), name).from_config(config)

    return type(name, (), {"__doc__": f"Stands for `{room}.{name}`.", "from_config": staticmethod(from_config)})
