"""Weights that wait in a file while training has no use for them."""

import tempfile
import weakref

import keras
import numpy as np

from keras_booth.tools.errors import InputError
from keras_booth.tools.files.writing import require_room, writing

ADVICE = "set TMPDIR to a folder with more room, or train with training.cache_latents false, which keeps them in memory"


class InFile:
    """What a variable holds in place of its `tf.Variable` while the value waits in a file.

    Who reads the variable reads the file, who assigns to it writes the file. So whatever Keras or a user does with the
    weights of a model that is parked (saving, loading, copying), it does with the right ones. The `tf.Variable` stays
    what it is, empty, because what was compiled knows it.

    Args:
        variable: `keras.Variable`.
        file: binary file that can be written and read.
        offset: int. Where in the file the value lies.
    """

    def __init__(self, variable, file, offset):
        array = keras.ops.convert_to_numpy(variable)
        self.variable, self.file, self.offset, self.held = variable, file, offset, variable._value
        self.shape, self.dtype, self.size = self.held.shape, self.held.dtype, array.nbytes
        self.write(array)

    def write(self, array):
        """Keep a value."""
        with writing(tempfile.gettempdir()):
            self.file.seek(self.offset)
            self.file.write(np.ascontiguousarray(array).view("uint8").data)
            self.file.flush()

    def numpy(self):
        """The value, read anew each time."""
        self.file.seek(self.offset)
        return np.frombuffer(bytearray(self.file.read(self.size)), self.dtype.as_numpy_dtype).reshape(self.shape)

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

    The variables stay, and with them what was compiled; only their values leave memory. The file has no name where the
    system can do that, so that nothing of it stays, however the process ends.

    Args:
        models: sequence of `keras.Model`, none of them trained.

    Raises:
        OSError: if the temporary folder has no room, with the path; the weights are then in memory.
        NotImplementedError: on a backend other than TensorFlow: JAX hands all values to every compiled step.
    """

    def __init__(self, models):
        if keras.backend.backend() != "tensorflow":
            raise NotImplementedError("Only TensorFlow can train a model of which a part is not in memory.")
        variables = [variable for model in models for variable in model.weights]
        sizes = [
            int(np.prod(variable.shape)) * np.dtype(variable._value.dtype.as_numpy_dtype).itemsize
            for variable in variables
        ]
        require_room(tempfile.gettempdir(), {"weights that wait there while training": sum(sizes)}, ADVICE)
        with writing(tempfile.gettempdir()):
            file = tempfile.TemporaryFile()
        weakref.finalize(self, file.close)
        offsets = np.cumsum([0, *sizes])
        self.values = [InFile(*each) for each in zip(variables, [file] * len(sizes), offsets.tolist(), strict=False)]
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
