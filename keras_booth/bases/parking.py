"""Weights that wait in a file while training has no use for them."""

import pathlib
import shutil
import tempfile
import weakref

import keras
import numpy as np

from keras_booth.tools.errors import InputError
from keras_booth.tools.files import writing


class InFile:
    """What a variable holds in place of its `tf.Variable` while the value waits in a file.

    Who reads the variable reads the file, who assigns to it writes the file. So whatever Keras or a user does with the
    weights of a model that is parked (saving, loading, copying), it does with the right ones. The `tf.Variable` stays
    what it is, empty, because what was compiled knows it.

    Args:
        variable: `keras.Variable`.
        path: `Path` of the file.
    """

    def __init__(self, variable, path):
        array = keras.ops.convert_to_numpy(variable)
        self.variable, self.path, self.held = variable, path, variable._value
        self.shape, self.dtype = self.held.shape, self.held.dtype
        self.write(array)

    def write(self, array):
        """Keep a value."""
        with writing(self.path):
            self.path.write_bytes(array.tobytes())

    def numpy(self):
        """The value, read anew each time."""
        return np.fromfile(self.path, self.dtype.as_numpy_dtype).reshape(self.shape)

    def __array__(self, dtype=None, copy=None):
        return self.numpy() if dtype is None else self.numpy().astype(dtype)

    def __tf_tensor__(self, dtype=None, name=None):
        """The value for TensorFlow.

        Raises:
            InputError: in a function that is being compiled, where it would be kept for good.
        """
        import tensorflow as tf

        if not tf.executing_eagerly():
            raise InputError(
                f"The weight waits in a file; `base.park()` has it come back. Received: {self.variable.path}"
            )
        return tf.convert_to_tensor(self.numpy(), dtype, name=name)

    def assign(self, value):
        """Called by Keras, which has made sure of the shape and the dtype."""
        self.write(keras.ops.convert_to_numpy(value))

    def leave(self):
        """Free the memory."""
        overwrite(self.held, np.zeros(0, self.dtype.as_numpy_dtype))
        self.variable._value = self

    def come_back(self):
        """Read the value again."""
        overwrite(self.held, self.numpy())
        self.variable._value = self.held


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
        folder = pathlib.Path(tempfile.mkdtemp(prefix="keras_booth-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        variables = [variable for model in models for variable in model.weights]
        self.values = [InFile(variable, folder / f"{index:04d}") for index, variable in enumerate(variables)]
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
    """Give a `tf.Variable` a value of any shape."""
    import tensorflow as tf

    # What `tf.Variable.assign` calls, which insists on the shape.
    tf.raw_ops.AssignVariableOp(resource=variable.handle, value=tf.convert_to_tensor(array), validate_shape=False)
