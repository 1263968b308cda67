"""Reading `.safetensors` files into a base: checked as a whole, then loaded tensor by tensor."""

import contextlib
import functools
import json
import pathlib
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence

import ml_dtypes  # also lets NumPy hold bfloat16 tensors
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from keras_booth.tools.annotations import FilePath
from keras_booth.tools.errors import CheckpointError, InputError
from keras_booth.tools.files import json_files
from keras_booth.tools.files.foreign import parsing
from keras_booth.tools.files.plain_files import require_plain
from keras_booth.tools.files.writing import whole_file
from keras_booth.tools.wording import shown

PICKLES = (".ckpt", ".bin", ".pt", ".pth")
EIGHT_BITS = {"F8_E4M3": ml_dtypes.float8_e4m3fn, "F8_E5M2": ml_dtypes.float8_e5m2}
FLOATS = ("F64", "F32", "F16", "BF16", *EIGHT_BITS)


class Checkpoint:
    """The tensors of one or several `.safetensors` files, read when they are asked for.

    Args:
        paths: list of `Path`.
        rename: callable, the name of a tensor in a file -> the name that it shall have here, or `None` to leave it out.

    Raises:
        CheckpointError: if a file is missing or damaged, or a tensor is there twice.
    """

    def __init__(self, paths: Iterable[FilePath], rename: Callable[[str], str | None] = lambda name: name):
        self.paths = [pathlib.Path(path) for path in paths]
        self.shapes, self._dtypes, self._places, self.metadata = {}, {}, {}, {}
        for path in self.paths:
            refuse_pickle(path)
            require_plain(path, "The weight file", CheckpointError)
            with parsing_tensors(path), safe_open(path, framework="numpy") as file:
                tensors = {name: file.get_slice(name) for name in file.keys()}
                found = {name: (tuple(tensor.get_shape()), tensor.get_dtype()) for name, tensor in tensors.items()}
                self.metadata |= file.metadata() or {}
            for stored, described in found.items():
                self._add(rename(stored), stored, path, *described)

    def _add(self, name, stored, path, shape, dtype):
        if name is None:
            return
        if name in self._places:
            other, twin = self._places[name]
            raise CheckpointError(
                f"The tensor {shown(name)} is there twice. "
                f"Received: {shown(twin)} in {other}, {shown(stored)} in {path}"
            )
        self._places[name] = path, stored
        self.shapes[name], self._dtypes[name] = shape, dtype

    def tensors(self, names: Iterable[str]) -> Iterator[tuple[str, np.ndarray]]:
        """Read tensors one after the other, file by file.

        Yields:
            `(name, array)`.
        """
        for path in self.paths:
            here = [name for name in names if self._places[name][0] == path]
            with contextlib.ExitStack() as stack:
                with parsing_tensors(path):
                    file = stack.enter_context(safe_open(path, framework="numpy"))
                for name in here:
                    array = self._read(file, name)
                    require_finite(name, array, path)
                    yield name, array
                    del array  # or it would stay while the next one is read

    def _read(self, file, name):
        path, stored = self._places[name]
        dtype = EIGHT_BITS.get(self._dtypes[name])
        if dtype is None:
            with parsing_tensors(path):
                array = file.get_tensor(stored)
            with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, which is refused
                return array.astype("float32") if array.dtype == "float64" else array
        # safetensors' own NumPy side knows the name of these, but not the type.
        with path.open("rb") as raw:
            (size,) = struct.unpack("<Q", raw.read(8))
            first, last = json.loads(raw.read(size))[stored]["data_offsets"]
            raw.seek(8 + size + first)
            return np.frombuffer(raw.read(last - first), dtype).astype("float32").reshape(self.shapes[name])

    def read(self, name: str) -> np.ndarray:
        """One tensor, as an array."""
        return next(self.tensors([name]))[1]

    def holds_numbers(self, name: str) -> bool:
        """Whether a tensor is of one of the floating-point types, and not an integer that stands for something."""
        return self._dtypes[name] in FLOATS

    def where(self, name: str) -> str:
        """The file of a tensor, or all files if it is in none, for a message."""
        return self._places[name][0] if name in self._places else ", ".join(map(str, self.paths))


def parsing_tensors(path: FilePath) -> contextlib.AbstractContextManager[None]:
    """Whatever safetensors throws at a file as one sentence."""
    what = "The file is damaged, truncated, or no `.safetensors` file"
    return parsing(lambda reason: CheckpointError(f"{what} ({reason}). Received: {path}"))


def require_finite(name: str, array: np.ndarray, path: FilePath, error: type[InputError] = CheckpointError) -> None:
    """Raises an `InputError` for weights of which one is NaN or infinite.

    Args:
        name: str, of the tensor.
        array: NumPy array; integers are finite.
        path: str or `Path` of its file.
        error: type of what is raised, a kind of `InputError`.
    """
    if not np.isfinite(array).all():
        raise error(f"The tensor {shown(name)} has values that are NaN or infinite. Received: {path}")


def as_stored(name: str, array: np.ndarray, dtype: str, path: FilePath) -> np.ndarray:
    """Weights in the precision of a file, in one piece of memory.

    Args:
        name: str, of the tensor.
        array: NumPy array.
        dtype: `"float32"` or `"float16"`.
        path: str or `Path` of the file.

    Raises:
        InputError: for weights that are NaN or infinite, or become so in this dtype.
    """
    with np.errstate(over="ignore"):
        stored = np.asarray(array, dtype, order="C")
    require_finite(name, stored, f"{path} in {dtype}", InputError)
    return stored


def refuse_pickle(path):
    """Raise a `CheckpointError` for a file that can run code when it is opened."""
    if path.suffix in PICKLES:
        raise CheckpointError(
            f"{path.suffix} files are pickled and can run any code when opened; take the checkpoint's `.safetensors` "
            f"file, or convert it with safetensors' own converter. Received: {path}"
        )


def weight_files(names, stem, shards_of):
    """The weight files of one component among all files that are there: one rule for folders and for the hub.

    Full precision comes before fp16, and shards that are all there before a whole file, as in diffusers; an index
    whose shards are gone does not count.

    Args:
        names: collection of str, the files of the component.
        stem: str, `"model"` or `"diffusion_pytorch_model"`.
        shards_of: callable, name of an index -> list of the shards that it names.

    Returns:
        list of str. What ought to be there, if nothing is.
    """
    wanted = [f"{stem}.safetensors"]
    for variant in ("", ".fp16"):
        index = f"{stem}.safetensors.index{variant}.json"
        shards = sorted(set(shards_of(index))) if index in names else []
        if shards and names.issuperset(shards):
            return shards
        if f"{stem}{variant}.safetensors" in names:
            return [f"{stem}{variant}.safetensors"]
        wanted = shards if shards and wanted == [f"{stem}.safetensors"] else wanted
    return wanted


def find_weights(folder, stem):
    """The weight files of one component of a diffusers folder; see `weight_files`.

    Args:
        folder: `Path` of the component.
        stem: str, `"model"` or `"diffusion_pytorch_model"`.

    Returns:
        list of `Path`.

    Raises:
        CheckpointError: if there are only pickled ones, or an index is damaged.
    """
    names = {path.name for path in folder.glob("*")}
    found = [folder / name for name in weight_files(names, stem, lambda index: shards(folder / index))]
    if not any(path.is_file() for path in found):
        for name in sorted(names):
            refuse_pickle(folder / name)
    return found


def shards(index):
    """The files that an index of shards names."""
    files = read_json(index).get("weight_map")
    if not isinstance(files, dict):
        raise CheckpointError(f"The index has no field 'weight_map'. Received: {index}")
    for file in files.values():
        # What is beside the index, and nothing else on the machine.
        if not isinstance(file, str) or not re.fullmatch(r"[\w.-]+\.safetensors", file):
            raise CheckpointError(
                f"weight_map must name `.safetensors` files beside the index. Received: {shown(file)} in {index}"
            )
    return list(files.values())


# A JSON object as a dict; see `keras_booth.tools.files.json_files.read_json`.
read_json = functools.partial(json_files.read_json, error=CheckpointError)


def check(checkpoint, tensors, ignored=(), rename=lambda name: name):
    """Compare a checkpoint with a model before anything is loaded.

    Args:
        checkpoint: `Checkpoint`.
        tensors: list of `keras_booth.bases.formats.names.Tensor`.
        ignored: regular expressions of names that may be left over.
        rename: callable, a name of ours -> the name in this checkpoint.

    Raises:
        CheckpointError: naming the first tensor that is missing, left over or of another shape.
    """
    wanted = {rename(tensor.name): tensor for tensor in tensors}
    for name, tensor in wanted.items():
        if name not in checkpoint.shapes:
            raise CheckpointError(f"The tensor {name!r} is missing. Received: {checkpoint.where(name)}")
        if not fits(checkpoint.shapes[name], tensor.shape):
            raise CheckpointError(
                f"The tensor {name!r} has the shape {shown(checkpoint.shapes[name])}, not {tensor.shape}. "
                f"Received: {checkpoint.where(name)}"
            )
        if not checkpoint.holds_numbers(name):
            raise CheckpointError(
                f"The tensor {name!r} is quantized, which is not supported: take the checkpoint in float16. "
                f"Received: {checkpoint.where(name)}"
            )
    pattern = re.compile("|".join(ignored) or r"(?!)")
    for name in checkpoint.shapes:
        if name not in wanted and not pattern.match(name):
            raise CheckpointError(
                f"The tensor {shown(name)} is left over: this architecture is not supported. "
                f"Received: {checkpoint.where(name)}"
            )


def fits(found: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether shapes agree, up to the single pixel of a 1x1 convolution that other versions write as a dense layer."""
    return strip(found) == strip(wanted)


def strip(shape):
    """The shape without a trailing pair of ones."""
    return shape[:2] if len(shape) == 4 and shape[2:] == (1, 1) else shape


def load(checkpoint, tensors, rename=lambda name: name):
    """Load a checked checkpoint, with one tensor in memory at a time."""
    by_name = {}
    for tensor in tensors:
        by_name.setdefault(rename(tensor.name), []).append(tensor)
    for name, array in checkpoint.tensors(by_name):
        for tensor in by_name[name]:
            tensor.assign(array)
        del array  # or it would stay while the next one is read


def write_tensors(tensors, path, dtype, metadata=None, added=None):
    """Write weights to a temporary name, then rename.

    Args:
        tensors: list of `keras_booth.bases.formats.names.Tensor`.
        path: `Path` of the file.
        dtype: `"float32"` or `"float16"`.
        metadata: dict of str, or `None`.
        added: see `keras_booth.bases.export_base`.

    Raises:
        InputError: for weights that are NaN or infinite, or become so in this dtype; nothing is written then.
    """
    arrays = {}
    for tensor in tensors:
        arrays.setdefault(tensor.name, []).append(as_stored(tensor.name, tensor.export(added), dtype, path))
    # Those of one name are thirds, which come in order.
    whole = {name: parts[0] if len(parts) == 1 else np.concatenate(parts) for name, parts in arrays.items()}
    with whole_file(path) as part:
        save_file(whole, part, {"format": "pt"} | (metadata or {}))


def write_json(path, content):
    """Write a JSON object."""
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
