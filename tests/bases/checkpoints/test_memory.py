"""Loading streams: beside the model there is one tensor in memory at a time."""

import tracemalloc

import numpy as np

from keras_booth.bases import load_base
from keras_booth.bases.diffusers_format import load_folder, read_folder
from tests.bases.checkpoints.families import description, write_checkpoint


def test_one_tensor_at_a_time(tmp_path):
    folder = write_checkpoint("2.x", tmp_path / "checkpoint")
    base = load_base(folder, weights=None)
    shapes = [shape for part in description("2.x")["shapes"].values() for shape in part.values()]
    sizes = [4 * int(np.prod(shape)) for shape in shapes]
    _, _, checkpoints = read_folder(folder)
    tracemalloc.start()
    load_folder(base, checkpoints)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The tensor as it was read, its transposed copy, and the names of all.
    assert peak < 2 * max(sizes) + 500_000
    assert peak < sum(sizes) / 2
