"""What a step of TensorFlow must know of the devices that share its batch (`tf.distribute.MirroredStrategy`).

There each device runs the step on its rows. Here the batch stays one: noise is drawn for all of it, and each device
takes its own rows; so a run computes what it would on one device, whatever their number. On JAX, where a step sees the
whole batch, and on one device, there is nothing to do.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_booth.tools.annotations import Tensor
from keras_booth.tools.errors import InputError
from keras_booth.tools.process.processes import process_count


def replica_count(strategy: Any = None) -> int:
    """Devices that share a batch.

    Args:
        strategy: `tf.distribute.Strategy`; `None` for that in whose scope, or in whose step, this is called.
    """
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return (strategy or tf.distribute.get_strategy()).num_replicas_in_sync


def require_known_strategy() -> None:
    """Raises an `InputError` in the scope of a strategy of TensorFlow under which training would be wrong, or fail."""
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    if several or (strategy.num_replicas_in_sync > 1 and not isinstance(strategy, tf.distribute.MirroredStrategy)):
        raise InputError(
            "Several devices of one machine train under keras_booth.on_devices or a MirroredStrategy, several machines "
            "on JAX (KERAS_BACKEND=jax; MultiWorkerMirroredStrategy does not work with Keras 3). "
            f"Received: the scope of a {type(strategy).__name__}"
        )


def of_batch(make: Callable[[Any], Tensor], rows: Any) -> Tensor:
    """This device's rows of what is made for the whole batch.

    Args:
        make: callable. Number of rows -> tensor of so many rows; the same on each device.
        rows: int or scalar tensor. Rows that this device has of the batch; all have as many.
    """
    count = replica_count()
    if count == 1:
        return make(rows)
    _require_even(rows)
    first = _context().replica_id_in_sync_group * rows
    return make(rows * count)[first : first + rows]


def whole(tensor: Tensor) -> Tensor:
    """The rows of all devices, in the order of the batch."""
    if replica_count() == 1:
        return tensor
    kind = keras.backend.standardize_dtype(tensor.dtype)
    # TensorFlow gathers no flags.
    sent = ops.cast(tensor, "int32") if kind == "bool" else tensor
    return ops.cast(_context().all_gather(sent, axis=0), kind)


def total(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Sums over all devices, of each tensor."""
    if replica_count() == 1:
        return list(tensors)
    import tensorflow as tf

    return list(_context().all_reduce(tf.distribute.ReduceOp.SUM, list(tensors)))


def own_copies(variables: Sequence[Any]) -> Iterator[list[Any]]:
    """The `tf.Variable`s that stand for `keras.Variable`s on a device: within a step on its own, elsewhere on each."""
    import tensorflow as tf

    values = [variable.value for variable in variables]
    strategy = next((value.distribute_strategy for value in values if hasattr(value, "distribute_strategy")), None)
    if strategy is None or strategy.num_replicas_in_sync == 1:
        yield values
        return
    copies = list(zip(*(strategy.experimental_local_results(value) for value in values), strict=True))
    if tf.distribute.in_cross_replica_context() or replica_count() == 1:
        yield from map(list, copies)
    else:
        yield list(copies[tf.get_static_value(_context().replica_id_in_sync_group)])


def make_own(variable: keras.Variable) -> None:
    """Has each device change its own copy of a variable, which Keras would have only one of them change.

    Keras's way needs all devices to meet where it is changed, and they cannot within a condition. Here all compute the
    same change.
    """
    import tensorflow as tf

    none = tf.VariableAggregation.NONE
    held = variable.value
    if getattr(held, "aggregation", none) != none or not hasattr(held, "distribute_strategy"):
        variable._value = tf.Variable(held.numpy(), dtype=held.dtype, trainable=False, aggregation=none)


def device_count(model: keras.Model | None = None) -> int:
    """Devices of this process that share a batch of a model, on any backend; outside of a step."""
    if keras.backend.backend() == "jax":
        distribution = keras.distribution.distribution()
        return 1 if distribution is None else distribution.num_model_replicas // process_count()
    return replica_count(getattr(model, "distribute_strategy", None))


def scope_of(model: keras.Model) -> contextlib.AbstractContextManager[Any]:
    """In it variables are made for the devices of a model (TensorFlow's; of JAX's the process knows)."""
    if keras.backend.backend() != "tensorflow":
        return contextlib.nullcontext()
    return model.distribute_strategy.scope()


def predicted(model: keras.Model, inputs: Any) -> Any:
    """`model.predict_on_batch`, where Keras would have each device compute all rows, with a share of them on each.

    Args:
        model: `keras.Model`, on the devices that it was made for.
        inputs: array with a leading batch axis, or a dict of them.

    Returns:
        NumPy array of as many rows, or a structure of them.
    """
    rows = len(keras.tree.flatten(inputs)[0])
    together = process_count() > 1
    found = _predicted_together(model, inputs, rows) if together else model.predict_on_batch(shared(model, inputs))
    return keras.tree.map_structure(lambda values: np.asarray(values)[:rows], found)


def shared(model: keras.Model, inputs: Any) -> Any:
    """Arrays with a share of their rows on each device; where it would not be even, the last row comes again."""
    rows = len(keras.tree.flatten(inputs)[0])
    count = device_count(model)
    # Of several processes each has its own rows, and Keras puts them together.
    if count == 1 or process_count() > 1:
        return inputs
    if keras.backend.backend() == "jax":
        return _sharded(inputs, rows, count)
    import tensorflow as tf

    strategy, share = model.distribute_strategy, -(-rows // count)

    def on_each(filled):
        def own(context):
            first = context.replica_id_in_sync_group * share
            return tf.convert_to_tensor(filled[first : first + share])

        return strategy.experimental_distribute_values_from_function(own)

    return keras.tree.map_structure(on_each, _filled(inputs, rows, count))


def _filled(inputs, rows, count):
    """NumPy arrays with a multiple of `count` as their rows: the last one comes again."""
    places = np.minimum(np.arange(-(-rows // count) * count), rows - 1)
    return keras.tree.map_structure(lambda array: np.asarray(array)[places], inputs)


def _sharded(inputs, rows, count):
    """Arrays, the same in all processes, with a share of their rows on each device of all."""
    import jax

    distribution = keras.distribution.distribution()

    def on_all(filled):
        layout = distribution.get_data_layout(filled.shape).backend_layout
        return jax.make_array_from_callback(filled.shape, layout, lambda place: filled[place])

    return keras.tree.map_structure(on_all, _filled(inputs, rows, count))


def _predicted_together(model, inputs, rows):
    """What `predict_on_batch` gives, in each of several processes all of it; all must call it at the same place."""
    import jax

    if "together" not in vars(model):

        @functools.partial(jax.jit, out_shardings=everywhere())
        def predict(trained, others, given):
            return model.stateless_call(trained, others, given)[0]

        vars(model)["together"] = predict
    groups = model.trainable_variables, model.non_trainable_variables
    values = [[variable.value for variable in group] for group in groups]
    return vars(model)["together"](*values, _sharded(inputs, rows, jax.device_count()))


def everywhere():
    """JAX's sharding of what each device has whole."""
    import jax

    mesh = keras.distribution.distribution().device_mesh.backend_mesh
    return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())


def placed(array: Any) -> Tensor:
    """An array as a tensor that can be computed with beside a model's weights, outside of a step."""
    tensor = ops.convert_to_tensor(array)
    if process_count() == 1:
        return tensor
    import jax

    values = np.asarray(tensor)
    return jax.make_array_from_callback(values.shape, everywhere(), lambda place: values[place])


def _require_even(rows):
    """A batch whose length no data set says may not be shared evenly, which the graph alone can see."""
    if isinstance(rows, int):
        return
    import tensorflow as tf

    shares = _context().all_gather(tf.reshape(rows, (1,)), axis=0)
    tf.debugging.assert_equal(shares, rows, "A batch must have a multiple of the number of devices as its rows.")


def _context():
    import tensorflow as tf

    return tf.distribute.get_replica_context()
