"""What TensorFlow keeps of compiled functions: each gradient that is not its own, and with it their graphs."""

import contextlib
import sys
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

PREFIX = "CustomGradient-"  # of the names in TensorFlow's table


@contextlib.contextmanager
def let_go_with(owner: Any) -> Iterator[None]:
    """Has TensorFlow forget the gradients that the block registers, when an object goes.

    `tf.custom_gradient`, by which swish and gradient checkpointing are differentiated, puts a function into a table of
    the process for each place where it is compiled, and never takes it out: the graph of every model that was ever
    made would stay in memory. Does nothing on another backend.

    Args:
        owner: what is compiled; a weak reference to it must be possible.
    """
    table = _table()
    before = set(table)
    yield
    names = [name for name in set(_table()) - before if name.startswith(PREFIX)]
    if names:
        weakref.finalize(owner, _forget, names).atexit = False


def _table() -> dict[str, Any]:
    """TensorFlow's own table; an empty one where TensorFlow is not in use, or keeps it elsewhere by now."""
    ops = sys.modules.get("tensorflow.python.framework.ops")
    return getattr(getattr(ops, "gradient_registry", None), "_registry", {})


def _forget(names: Iterable[str]) -> None:
    table = _table()
    for name in names:
        table.pop(name, None)
