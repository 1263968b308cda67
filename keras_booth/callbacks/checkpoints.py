"""Checkpoints of a run: written whole or not at all, and enough to go on bit for bit."""

import json
import pathlib

import keras
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from keras_booth.callbacks.steps import StepCallback
from keras_booth.dreambooth import DreamBooth
from keras_booth.tools.annotations import FilePath
from keras_booth.tools.errors import CheckpointError
from keras_booth.tools.files import whole_file

PATTERN = "step-*.safetensors"


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


def save_checkpoint(booth: DreamBooth, folder: FilePath, step: int) -> pathlib.Path:
    """Write the state after `step` steps as `step-00000123.safetensors`.

    Returns:
        `Path` of the file.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:08d}.safetensors"
    tensors = {name: keras.ops.convert_to_numpy(variable) for name, variable in training_state(booth).items()}
    with whole_file(path) as part:
        save_file(tensors, part, {"step": json.dumps(step)})
    return path


def load_checkpoint(booth: DreamBooth, path: FilePath) -> int:
    """Put a compiled model into the state of a checkpoint.

    Returns:
        int: its step.

    Raises:
        CheckpointError: if the file is damaged, or of another run; the model is then unchanged.
    """
    variables = training_state(booth)
    try:
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
            return json.loads(file.metadata()["step"])
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"The checkpoint is damaged ({error}). Received: {path}") from error


def latest_checkpoint(folder: FilePath) -> pathlib.Path | None:
    """`Path` of the newest checkpoint in a folder, or `None`."""
    return max(pathlib.Path(folder).glob(PATTERN), default=None)


class Checkpoints(StepCallback):
    """Keeps the last checkpoints of a run.

    Args:
        folder: str or `Path`.
        every: int >= 1. Training steps between two checkpoints.
        keep_last: int >= 1. How many stay; the older ones are deleted when a newer one is whole.
    """

    def __init__(self, folder: FilePath, every: int, keep_last: int = 1):
        super().__init__()
        self.folder = pathlib.Path(folder)
        self.every = every
        self.keep_last = keep_last

    def on_steps(self, before: int) -> None:
        if self.passed(before, self.every):
            self.sync()
            save_checkpoint(self.model, self.folder, self.step)
            for path in sorted(self.folder.glob(PATTERN))[: -self.keep_last]:
                path.unlink()
