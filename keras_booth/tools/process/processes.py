"""Several processes, mostly on several machines, that train one model together: JAX's way, through Keras.

All of them run the same program and come to each computation together; the first one writes. What they would decide by
a file or by the clock, the first one decides for all.
"""

import json
import re
import secrets
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_booth.tools.errors import InputError, sentence

CONNECT = 300  # seconds in which all must have come
SILENT = 60  # seconds after which a process that is not heard of counts as dead
# What JAX's collectives and its coordination service say where another process is gone.
GONE = re.compile(r"gloo|nccl|connection (closed|reset|refused)|socket closed|coordination|heartbeat|preempted", re.I)


def process_count() -> int:
    """Processes that train one model."""
    return _jax().process_count() if keras.backend.backend() == "jax" else 1


def is_first() -> bool:
    """Whether this is the process that writes and reports; one that is alone is, too."""
    return process_index() == 0


def process_index() -> int:
    """Which of them this is, from 0."""
    return _jax().process_index() if keras.backend.backend() == "jax" else 0


def first_says(make: Callable[[], Any]) -> Any:
    """What the first process finds; the others do not look. All must ask at the same place.

    Args:
        make: callable that returns what JSON can hold.
    """
    if process_count() == 1:
        return make()
    from jax.experimental.multihost_utils import broadcast_one_to_all

    text = np.frombuffer(json.dumps(make()).encode(), "uint8") if is_first() else np.zeros(0, "uint8")
    size = int(broadcast_one_to_all(np.int32(len(text))))
    sent = np.pad(text, (0, size - len(text)))
    return json.loads(np.asarray(broadcast_one_to_all(sent)).astype("uint8").tobytes())


def wait_for_first() -> None:
    """Until the first process has come here, and so has done what it alone does. All must come."""
    first_says(lambda: None)


def any_says(flag: bool) -> bool:
    """Whether one of the processes says so. All must ask at the same place."""
    if process_count() == 1:
        return flag
    from jax.experimental.multihost_utils import process_allgather

    return bool(np.any(process_allgather(np.int32(flag))))


def is_gone(error: BaseException) -> bool:
    """Whether an error is that of a process whose fellow is dead, or cannot be reached."""
    return process_count() > 1 and not isinstance(error, InputError) and GONE.search(str(error)) is not None


def join_processes(coordinator: str | None, processes: int | None, process_id: int | None) -> None:
    """Finds the other processes. Before anything is computed; on JAX alone.

    Args:
        coordinator: str, address and port of the first process, `"host:port"`; `None` for what JAX finds by itself on
            Slurm, Cloud TPU, Kubernetes and Open MPI.
        processes: int >= 1, how many there are; `None` likewise.
        process_id: int, which of them this is, from 0; `None` likewise.

    Raises:
        InputError: where nothing says it, or they do not all come within five minutes.
    """
    if keras.backend.backend() != "jax":
        raise InputError(
            "Several processes train together on JAX alone (TensorFlow's MultiWorkerMirroredStrategy does not work "
            "with Keras 3): set KERAS_BACKEND=jax. Received: --processes on Keras's backend tensorflow"
        )
    try:
        _jax().distributed.initialize(
            coordinator, processes, process_id, initialization_timeout=CONNECT, heartbeat_timeout_seconds=SILENT
        )
    except (RuntimeError, ValueError) as error:  # the cluster's or the service's; what nobody said
        raise InputError(
            f"The processes did not find one another ({sentence(error).rstrip('.')}): --coordinator is the address and "
            "a free port of the first one, --processes their number, --process_id 0 for the first, 1 for the next. "
            f"Received: --coordinator {coordinator} --processes {processes or 'auto'} --process_id {process_id}"
        ) from error
    # Keras draws the first values of weights from it, which must be the same in all.
    keras.utils.set_random_seed(first_says(lambda: secrets.randbelow(2**31)))


def _jax():
    import jax

    return jax
