"""A trained model -> files for other programs."""

import pathlib

from keras_booth.bases import check_export
from keras_booth.dreambooth import load
from keras_booth.workflow.files import check_writable


def export_model(model, output, format=None, dtype="float32"):
    """Write a `.keras` file for other programs; see `DreamBooth.export_weights`.

    Args:
        model: path of the `.keras` file.
        output: path of a folder, or of a file that ends in `.safetensors`.
        format: `"diffusers"` or `"safetensors"`; `None` for what the output's name says.
        dtype: `"float32"` or `"float16"`.

    Returns:
        `Path` of what was written.

    Raises:
        InputError: for a file that is no model, or a place that cannot be written.
    """
    output = pathlib.Path(output)
    format = format or ("safetensors" if output.suffix == ".safetensors" else "diffusers")
    check_export(output, format, dtype)
    check_writable(output.parent, "output")
    booth = load(model)
    return booth.export_weights(output, format=format, dtype=dtype)
