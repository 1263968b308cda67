"""A trained model -> files for other programs."""

import math
import pathlib

from keras_booth.bases import check_export, warn_of_strangers
from keras_booth.dreambooth import load
from keras_booth.tools.errors import InputError
from keras_booth.tools.files.writing import require_room
from keras_booth.workflow.files import check_writable


def export_model(model, output, format=None, dtype="float32", layout=None):
    """Write a `.keras` file for other programs; see `DreamBooth.export_weights` and `DreamBooth.save_lora`.

    Args:
        model: path of the `.keras` file.
        output: path of a folder, or of a file that ends in `.safetensors`.
        format: `"diffusers"`, `"safetensors"` or `"lora"`; `None` for what the output's name says, a folder or a file
            with the whole model.
        dtype: `"float32"` or `"float16"`.
        layout: `"kohya"` or `"diffusers"`, of a LoRA; `None` for kohya's.

    Returns:
        `Path` of what was written.

    Raises:
        InputError: for a file that is no model, a model without LoRA, or a place that cannot be written.
    """
    output = pathlib.Path(output)
    format = format or ("safetensors" if output.suffix == ".safetensors" else "diffusers")
    if layout is not None and format != "lora":
        raise InputError(f"--layout is for --format lora: give both, or leave it out. Received: --layout {layout}")
    check_export(output, "safetensors" if format == "lora" else format, dtype)
    check_writable(output.parent, "output")
    booth = load(model)
    if format != "lora":
        size = sum(math.prod(variable.shape) for part in booth.base.components.values() for variable in part.weights)
        require_room(output.parent, {"the model": size * (2 if dtype == "float16" else 4)})
        return booth.export_weights(output, format=format, dtype=dtype)
    if booth.adapters is None:
        raise InputError(
            "The model has no LoRA, all of its weights were trained: export it whole, with --format safetensors, or "
            f"train with --lora.rank 16. Received: {model}"
        )
    warn_of_strangers(booth.base.config)
    output.parent.mkdir(parents=True, exist_ok=True)
    booth.save_lora(output, layout=layout or "kohya", dtype=dtype)
    return output
