"""Weights that wait in a file while training has no use for them."""

import pathlib
import tempfile

import keras
import numpy as np

from keras_booth.tools.files import writing


class Parked:
    """Frozen models whose weights wait in a temporary file. A model must not be called until `come_back`.

    The variables stay, and with them what was compiled; only their values leave memory.

    Args:
        models: sequence of `keras.Model`, none of them trained.

    Raises:
        OSError: if the temporary folder has no room, with the path.
        NotImplementedError: on a backend other than TensorFlow: JAX hands all values to every compiled step.
    """

    def __init__(self, models):
        if keras.backend.backend() != "tensorflow":
            raise NotImplementedError("Only TensorFlow can train a model of which a part is not in memory.")
        self.variables = [variable for model in models for variable in model.weights]
        self.folder = tempfile.TemporaryDirectory(prefix="keras_booth-")
        self.dtypes = []
        for index, variable in enumerate(self.variables):
            array = keras.ops.convert_to_numpy(variable)
            self.dtypes.append(array.dtype)
            with writing(self._file(index)):
                self._file(index).write_bytes(array.tobytes())
        self.leave()

    def _file(self, index):
        return pathlib.Path(self.folder.name, f"{index:04d}")

    def leave(self):
        """Free the memory."""
        for variable, dtype in zip(self.variables, self.dtypes, strict=True):
            overwrite(variable, np.zeros(0, dtype))

    def come_back(self):
        """Read the weights again."""
        for index, (variable, dtype) in enumerate(zip(self.variables, self.dtypes, strict=True)):
            overwrite(variable, np.fromfile(self._file(index), dtype).reshape(variable.shape))


def overwrite(variable, array):
    """Give a variable a value of any shape."""
    import tensorflow as tf

    # What `tf.Variable.assign` calls, which insists on the shape.
    tf.raw_ops.AssignVariableOp(resource=variable.value.handle, value=tf.convert_to_tensor(array), validate_shape=False)
