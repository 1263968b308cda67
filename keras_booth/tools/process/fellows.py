"""What flags and the environment say of the processes that train together."""

import os
from typing import Any

from keras_booth.tools.errors import InputError

# Where the flags do not say it. JAX reads the first one by itself.
VARIABLES = {"coordinator": "JAX_COORDINATOR_ADDRESS", "processes": "JAX_NUM_PROCESSES", "process_id": "JAX_PROCESS_ID"}
MOST_PORT = 65535


def of_flags(flags: dict[str, Any]) -> dict[str, Any] | None:
    """Takes out of the flags what `join_processes` is told, and has all devices take part.

    Args:
        flags: dict of what `add_training_flags` adds. What is for `on_devices` stays in it.

    Returns:
        dict; `None` for a process that is alone.

    Raises:
        InputError: for numbers that do not go together.
    """
    said = {name: flags.pop(name) for name in VARIABLES}
    said = {name: _from_environment(name) if value is None else value for name, value in said.items()}
    if said["processes"] in (None, 1):
        if said["process_id"] is not None:
            raise InputError(
                f"--process_id is for several processes: say --processes. Received: --process_id {said['process_id']}"
            )
        flags["devices"] = flags["devices"] or 1
        return None
    if flags["devices"] not in (None, "all"):
        raise InputError(
            "With --processes all devices of each one take part: leave --devices out. "
            f"Received: --devices {flags['devices']}"
        )
    if flags["sharding"] != "data":
        raise InputError(
            "Weights are shared among the devices of one machine alone, not of several processes: leave --sharding or "
            f"--processes out. Received: --sharding {flags['sharding']} --processes {said['processes']}"
        )
    flags["devices"] = "all"
    if said["processes"] == "auto":
        return said | {"processes": None}
    _check(**said)
    return said


def _from_environment(name):
    text = os.environ.get(VARIABLES[name])
    if not text or name == "coordinator":
        return text or None
    if not text.isdecimal():
        raise InputError(f"{VARIABLES[name]} must be a whole number. Received: {VARIABLES[name]}={text}")
    return int(text)


def _check(coordinator, processes, process_id):
    if coordinator is not None:
        host, _, port = coordinator.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) <= MOST_PORT:
            raise InputError(
                f"--coordinator must be an address and a port, like node1:1234. Received: --coordinator {coordinator}"
            )
    if process_id is not None and not 0 <= process_id < processes:
        raise InputError(
            f"--process_id must be in [0, {processes}), as there are --processes {processes}. "
            f"Received: --process_id {process_id}"
        )
