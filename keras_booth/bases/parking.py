"""Weights that wait in a file while training has no use for them."""

import pathlib
import tempfile

import keras
import numpy as np

from keras_booth.tools.errors import InputError
from keras_booth.tools.files import writing


class Away(keras.Variable):
    """A variable whose value waits in a file: who reads it reads the file, who assigns to it writes the file.

    So whatever Keras or a user does with the weights of a model that is parked (saving, loading, copying), it does
    with the right ones. A variable turns into this and back, so that what was compiled keeps it.
    """

    @property
    def value(self):
        """The value, read anew each time.

        Raises:
            InputError: in a function that is being compiled, where it would be kept for good.
        """
        import tensorflow as tf

        if not tf.executing_eagerly():
            raise InputError(f"The weight waits in a file; `base.park()` has it come back. Received: {self.path}")
        return tf.convert_to_tensor(np.fromfile(self.waits.path, self.waits.dtype).reshape(self.shape))

    def assign(self, value):
        """Takes a value of the variable's shape, as any variable does."""
        array = keras.ops.convert_to_numpy(value)
        if array.shape != tuple(self.shape):
            raise InputError(f"{self.path} has the shape {tuple(self.shape)}. Received: value of shape {array.shape}")
        self.waits.write(array.astype(self.waits.dtype))
        return self.value


class Waiting:
    """The value of one variable in a file.

    Args:
        variable: `keras.Variable`.
        path: `Path` of the file.
    """

    def __init__(self, variable, path):
        array = keras.ops.convert_to_numpy(variable)
        self.variable, self.path, self.kind, self.dtype = variable, path, type(variable), array.dtype
        self.write(array)

    def write(self, array):
        """Keep a value."""
        with writing(self.path):
            self.path.write_bytes(array.tobytes())

    def leave(self):
        """Free the memory."""
        overwrite(self.variable, np.zeros(0, self.dtype))
        self.variable.waits, self.variable.__class__ = self, Away

    def come_back(self):
        """Read the value again."""
        array = np.fromfile(self.path, self.dtype).reshape(self.variable.shape)
        self.variable.__class__ = self.kind
        overwrite(self.variable, array)


class Parked:
    """Frozen models whose weights wait in a temporary file. A model must not be compiled until `come_back`.

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
        self.folder = tempfile.TemporaryDirectory(prefix="keras_booth-")
        variables = [variable for model in models for variable in model.weights]
        self.values = [
            Waiting(variable, pathlib.Path(self.folder.name, f"{index:04d}"))
            for index, variable in enumerate(variables)
        ]
        self.leave()

    def leave(self):
        """Free the memory."""
        for value in self.values:
            value.leave()

    def come_back(self):
        """Read the weights again."""
        for value in self.values:
            value.come_back()


def overwrite(variable, array):
    """Give a variable a value of any shape."""
    import tensorflow as tf

    # What `tf.Variable.assign` calls, which insists on the shape.
    tf.raw_ops.AssignVariableOp(resource=variable.value.handle, value=tf.convert_to_tensor(array), validate_shape=False)
