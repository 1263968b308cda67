"""Checkpoints of a run: written whole or not at all, and enough to go on bit for bit."""

import pathlib
from collections.abc import Mapping
from typing import Any

import keras
from safetensors import safe_open

from keras_booth.callbacks.checkpoint_files import Stored, in_order, read, write
from keras_booth.callbacks.steps import StepCallback
from keras_booth.dreambooth import DreamBooth
from keras_booth.tools.annotations import FilePath
from keras_booth.tools.errors import CheckpointError
from keras_booth.tools.files.writing import writing
from keras_booth.tools.process.processes import is_first


def training_state(booth: DreamBooth) -> dict[str, keras.Variable]:
    """All variables that a training step reads and writes, by name. Paths would not do: their numbers differ between
    processes.

    Trained weights (A and B for LoRA), the optimizer's moments, averages, loss scale and step, and the state of the
    noise. The order of the photographs needs no state: it is a function of the seed and the step.

    Args:
        booth: compiled `DreamBooth`.

    Returns:
        dict of `keras.Variable`.
    """
    groups = {
        "weights": booth.trainable_variables,
        "optimizer": booth.optimizer.variables,
        "seed": [booth.seed_generator.state],
    }
    return {
        f"{group}/{index:04d}": variable
        for group, variables in groups.items()
        for index, variable in enumerate(variables)
    }


def save_checkpoint(
    booth: DreamBooth, folder: FilePath, step: int, notes: Mapping[str, Any] | None = None
) -> pathlib.Path:
    """Write the state after `step` steps as `step-00000123.safetensors`.

    Args:
        booth: compiled `DreamBooth`.
        folder: str or `Path`.
        step: int.
        notes: dict that JSON can hold, what the run says of itself: see `keras_booth.callbacks.newest_whole`.

    Returns:
        `Path` of the file.
    """
    path = pathlib.Path(folder) / f"step-{step:08d}.safetensors"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: keras.ops.convert_to_numpy(variable) for name, variable in training_state(booth).items()}
    write(path, tensors, step, notes)
    return path


def load_checkpoint(booth: DreamBooth, path: FilePath) -> int:
    """Put a compiled model into the state of a checkpoint.

    Returns:
        int: its step.

    Raises:
        CheckpointError: if the file is damaged, or of another run; the model is then unchanged.
    """
    return restore(booth, read(path))


def restore(booth: DreamBooth, stored: Stored) -> int:
    """`load_checkpoint` of a file that was read already."""
    variables, path = training_state(booth), stored.path
    with safe_open(path, framework="numpy") as file:
        names = set(file.keys())
        if names != variables.keys():
            odd = min(names ^ variables.keys())
            raise CheckpointError(
                f"The checkpoint is of another run: {odd!r} is missing or left over. Received: {path}"
            )
        for name, variable in variables.items():
            shape = tuple(file.get_slice(name).get_shape())
            if shape != tuple(variable.shape):
                raise CheckpointError(
                    f"The checkpoint is of another run: {name!r} has the shape {shape}, not "
                    f"{tuple(variable.shape)}. Received: {path}"
                )
        for name, variable in variables.items():
            variable.assign(file.get_tensor(name))
    return stored.step


def latest_checkpoint(folder: FilePath) -> pathlib.Path | None:
    """`Path` of the newest checkpoint in a folder, or `None`."""
    return (in_order(folder) or [None])[-1]


class Checkpoints(StepCallback):
    """Keeps the last checkpoints of a run.

    Args:
        folder: str or `Path`.
        every: int >= 1. Training steps between two checkpoints.
        keep_last: int >= 1. How many stay; the older ones are deleted when a newer one is whole. With two there is one
            to go on from where a disk damages the other.
        notes: dict that JSON can hold, what the run says of itself in each of them.
    """

    def __init__(self, folder: FilePath, every: int, keep_last: int = 1, notes: Mapping[str, Any] | None = None):
        super().__init__()
        self.folder = pathlib.Path(folder)
        self.every = every
        self.keep_last = keep_last
        self.notes = notes
        self.saved_at = None

    def on_steps(self, before: int) -> None:
        if self.passed(before, self.every):
            self.save()

    def save(self) -> None:
        """Writes a checkpoint of the model as it is, which must be between two steps. Deletes those that are too many,
        and those of later steps, which a run that went on from an earlier one does not believe."""
        if self.step == self.saved_at:
            return
        self.sync()
        if is_first():
            self._write()
        self.saved_at = self.step

    def _write(self):
        newest = save_checkpoint(self.model, self.folder, self.step, self.notes)
        paths = in_order(self.folder)
        place = paths.index(newest)
        for path in (*paths[: max(place + 1 - self.keep_last, 0)], *paths[place + 1 :]):
            path.unlink(missing_ok=True)
