"""A base -> files that diffusers, ComfyUI and AUTOMATIC1111 open: whole, or not at all."""

import pathlib
from collections.abc import Callable, Sequence

import keras

from keras_booth.bases.base import StableDiffusionBase
from keras_booth.bases.formats.diffusers.folder import write_folder
from keras_booth.bases.formats.original.modelspec import warn_of_strangers
from keras_booth.bases.formats.original.single_file import write_single_file
from keras_booth.bases.formats.tensors import PICKLES
from keras_booth.tools.annotations import FilePath, Tensor
from keras_booth.tools.dtypes import check_stored
from keras_booth.tools.errors import InputError
from keras_booth.tools.files.writing import whole_file

FORMATS = ("diffusers", "safetensors")
# A name that ends like this is meant as a file, and no folder.
FILES = (
    *(".safetensors", ".sft", ".keras", ".h5", ".hdf5", ".pkl", ".pickle", ".onnx", ".gguf", ".ggml", ".tflite", ".pb"),
    *(".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".npy", ".npz", ".msgpack"),
    *(".json", ".yaml", ".yml", ".txt", ".csv", ".png", ".jpg", ".jpeg", ".webp"),
)


def check_export(output: FilePath, format: str, dtype: str) -> None:
    """Refuse what `export_base` could not write, before anything heavy is done.

    Raises:
        InputError: for an unknown format or dtype, or a place that is taken, missing or of the wrong kind.
    """
    if format not in FORMATS:
        raise InputError(f"`format` must be one of {FORMATS}. Received: format={format!r}")
    check_stored(dtype)
    output = pathlib.Path(output)
    suffix = output.suffix.lower()
    if suffix in PICKLES:
        raise InputError(
            f"{suffix} files are pickled, and are not written here; the same programs open a file that ends in "
            f"'.safetensors'. Received: output={output}"
        )
    if format == "safetensors" and output.suffix != ".safetensors":
        raise InputError(f"The file must end in '.safetensors'. Received: output={output}")
    if format == "diffusers":
        _check_folder(output)
    elif output.is_dir():
        raise InputError(f"The output must be a file, but it is a folder. Received: output={output}")


def _check_folder(output):
    suffix = output.suffix.lower()
    if output.is_symlink():
        reason = "The folder takes the place of what is there, and this is a link: give the name of one to be made"
    elif output.is_file():
        reason = "The output must be a folder, but it is a file"
    elif output.is_dir() and any(output.iterdir()):
        reason = "The folder is there already, and is not empty"
    elif output.is_dir() and output.samefile("."):
        reason = "This is the folder where the command stands: give the name of a folder in it"
    elif suffix in FILES:
        reason = (
            f"diffusers' format is a folder, and {suffix} is the ending of a file: leave it out, or take the format "
            "safetensors and a file that ends in '.safetensors'"
        )
    else:
        return
    raise InputError(f"{reason}. Received: output={output}")


def export_base(
    base: StableDiffusionBase,
    output: FilePath,
    *,
    format: str = "diffusers",
    dtype: str = "float32",
    added: Callable[[keras.Variable], Tensor] | None = None,
    subjects: Sequence[str] = (),
) -> pathlib.Path:
    """Write a base for other programs. Says in a warning if only diffusers will open it.

    Args:
        base: `StableDiffusionBase`.
        output: path of a folder that does not exist yet or is empty, or of a `.safetensors` file.
        format: `"diffusers"`, a folder that `StableDiffusionPipeline.from_pretrained` opens; or `"safetensors"`, one
            file in the original layout, for ComfyUI and AUTOMATIC1111.
        dtype: `"float32"` or `"float16"`, in which the weights are stored.
        added: function from a `keras.Variable` to what shall be added to it in the file; `None` for nothing.
        subjects: sequence of str, what the model was taught: `"sks dog"`. One file says it in its metadata.

    Returns:
        `Path` of what was written.

    Raises:
        InputError: as `check_export`, and for a shape that the format cannot say.
    """
    check_export(output, format, dtype)
    autoencoder = base.config.autoencoder
    if autoencoder.decoder_blocks != autoencoder.encoder_blocks + 1:
        raise InputError(
            "Other programs expect one residual block more on each level of the decoder than of the encoder. Received: "
            f"encoder_blocks={autoencoder.encoder_blocks}, decoder_blocks={autoencoder.decoder_blocks}"
        )
    groups = base.config.unet.groups, autoencoder.groups
    if format == "safetensors" and groups != (32, 32):
        raise InputError(
            "The original layout cannot say the number of groups of the group norms, and programs take it for 32: "
            f"write format='diffusers'. Received: groups={groups} of UNet and autoencoder"
        )
    warn_of_strangers(base.config, whole=format == "safetensors")
    output = pathlib.Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    if format == "safetensors":
        write_single_file(base, output, dtype, added, subjects)
        return output
    with whole_file(output) as part:
        part.mkdir()
        write_folder(base, part, dtype, added)
    return output
