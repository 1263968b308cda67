"""Weights of named models <-> one `.safetensors` file."""

import pathlib
from collections.abc import Mapping

import keras
from safetensors.numpy import load_file, save_file

from keras_booth.bases.formats.tensors import as_stored, parsing_tensors, require_finite
from keras_booth.tools.annotations import FilePath
from keras_booth.tools.errors import CheckpointError
from keras_booth.tools.files.plain_files import require_plain
from keras_booth.tools.files.writing import whole_file


def named_variables(models: Mapping[str, keras.Model]) -> dict[str, keras.Variable]:
    """dict of variables by `model/index/shape-free path`, stable whatever the auto-generated layer names.

    Args:
        models: dict of `keras.Model` by name.
    """
    return {
        f"{name}/{index:04d}/{variable.name}": variable
        for name, model in models.items()
        for index, variable in enumerate(model.weights)
    }


def save_weights(models: Mapping[str, keras.Model], path: FilePath, dtype: str = "float32") -> None:
    """Write weights to a temporary name, then rename.

    Args:
        models: dict of `keras.Model` by name.
        path: the file; `.safetensors` is the usual ending.
        dtype: `"float32"` or `"float16"`, in which the values are stored.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    variables = named_variables(models)
    tensors = {name: as_stored(name, variable.numpy(), dtype, path) for name, variable in variables.items()}
    with whole_file(path) as part:
        save_file(tensors, part)


def load_weights(models: Mapping[str, keras.Model], path: FilePath) -> None:
    """Read weights that `save_weights` wrote, all or none.

    Raises:
        CheckpointError: if the file is missing, damaged, or of other models.
    """
    path = pathlib.Path(path)
    require_plain(path, "The weight file", CheckpointError)
    with parsing_tensors(path):
        tensors = load_file(path)
    variables = named_variables(models)
    if tensors.keys() != variables.keys():
        odd = sorted(tensors.keys() ^ variables.keys())
        raise CheckpointError(
            f"The weight file is of another model: {odd[0]!r} is missing or left over. Received: {path}"
        )
    for name, variable in variables.items():
        if tensors[name].shape != tuple(variable.shape):
            raise CheckpointError(
                f"{name!r} has the shape {tensors[name].shape}, not {tuple(variable.shape)}. Received: {path}"
            )
        require_finite(name, tensors[name], path)
    for name, variable in variables.items():
        variable.assign(tensors[name])
