"""Arrays larger than one likes to hold: filled chunk after chunk on disk, and read from there."""

import numpy as np

from keras_booth.tools.files.writing import write_text


def filled_array(path, shape, dtype, chunks):
    """An array on disk that is made once; a call that was interrupted is continued by the next one.

    Args:
        path: `Path` of the `.npy` file.
        shape, dtype: of the whole array.
        chunks: callable from the first row that is missing to an iterator of arrays, the rows from there on in order.

    Returns:
        The array, memory-mapped and read-only.
    """
    if not path.exists():
        _fill(path, shape, dtype, chunks)
    array = np.load(path, mmap_mode="r")
    if array.shape != tuple(shape):
        raise ValueError(f"{path} was made with other options: remove it. Received: shape={array.shape}, not {shape}")
    return array


def _fill(path, shape, dtype, chunks):
    part, count = path.with_suffix(".part.npy"), path.with_suffix(".rows")
    path.parent.mkdir(parents=True, exist_ok=True)
    goes_on = part.exists() and count.exists() and np.load(part, mmap_mode="r").shape == tuple(shape)
    done = int(count.read_text()) if goes_on else 0
    array = np.lib.format.open_memmap(part, "r+" if goes_on else "w+", dtype, tuple(shape))
    for chunk in chunks(done) if done < len(array) else ():
        array[done : done + len(chunk)] = chunk
        array.flush()
        done += len(chunk)
        write_text(count, str(done))
    part.rename(path)
    count.unlink()
