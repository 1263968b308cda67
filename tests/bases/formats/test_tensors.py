"""Loading streams: beside the model there is one tensor in memory at a time."""

import tracemalloc

import keras
import numpy as np
from safetensors.numpy import save_file

from keras_booth.bases.formats.names import LINEAR, Tensor
from keras_booth.bases.formats.tensors import Checkpoint, check, load

SIDE, COUNT = 1024, 16
SIZE = 4 * SIDE**2


def test_one_tensor_at_a_time(tmp_path):
    arrays = {f"layer.{index}.weight": np.full((SIDE, SIDE), index, "float32") for index in range(COUNT)}
    save_file(arrays, tmp_path / "model.safetensors")
    tensors = [Tensor(keras.Variable(np.zeros((SIDE, SIDE), "float32")), LINEAR, name) for name in arrays]
    del arrays
    checkpoint = Checkpoint([tmp_path / "model.safetensors"])
    tracemalloc.start()
    check(checkpoint, tensors)
    load(checkpoint, tensors)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # As it was read, transposed, and on its way into the variable; never two tensors of the file.
    # What is kept are the variables themselves: TensorFlow takes over an array that happens to be aligned as it likes.
    assert peak - kept < 3.5 * SIZE
    for index, tensor in enumerate(tensors):
        assert float(keras.ops.max(tensor.variable)) == float(keras.ops.min(tensor.variable)) == index
