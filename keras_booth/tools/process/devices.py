"""Several devices of one machine, switched on before a model is made."""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import keras

from keras_booth.tools.errors import InputError, require
from keras_booth.tools.process.processes import process_count

SHARDINGS = ("data", "model")
BATCH = "batch"  # the only axis of the mesh
SMALL = 2**12  # numbers of a variable that is not worth being sent around


@contextlib.contextmanager
def on_devices(devices: int | str = "all", sharding: str = "data") -> Iterator[int]:
    """Models that are made in this block train and draw on several devices of the machine, each on its rows of a batch.

    A batch stays one: losses, weights, noise and pictures are those of one device, to rounding. On JAX it is
    `keras.distribution.DataParallel`, on TensorFlow `tf.distribute.MirroredStrategy`. Train within the block, too.

    In several processes (`keras.distribution.initialize`, on JAX) the devices of all take part, and all processes must
    do the same; of each batch every one gives `fit` its own rows, as `photo_dataset` does.

    Args:
        devices: int >= 1; or `"all"`, the GPUs, or the CPU where there are none.
        sharding: `"data"`, each device holds all weights; or `"model"`, each holds its share of the weights, of their
            gradients and of what the optimizer keeps of them, and gets the others' where it computes with them (ZeRO,
            arXiv:1910.02054, stage 3), for models that do not fit one device. On JAX alone, as a
            `keras.distribution.ModelParallel`.

    Yields:
        int, the number of devices.

    Raises:
        InputError: for another number of devices than there are, or another sharding, or one that the backend lacks.

    Example:

    ```python
    with keras_booth.on_devices("all"):
        booth = keras_booth.DreamBooth.from_preset("tiny_world", identifier="sks", class_noun="dog")
        …
    ```
    """
    found = _devices()
    if devices != "all" and (
        isinstance(devices, bool) or not isinstance(devices, int) or not 1 <= devices <= len(found)
    ):
        raise InputError(
            f"`devices` must be 'all' or a number in [1, {len(found)}], as there are devices here. "
            f"Received: devices={devices!r}"
        )
    require(sharding in SHARDINGS, "sharding", " or ".join(map(repr, SHARDINGS)), sharding)
    if sharding == "model" and keras.backend.backend() != "jax":
        raise InputError(
            "Weights are shared among devices on JAX alone: set KERAS_BACKEND=jax. Received: sharding='model' on "
            f"{keras.backend.backend()}"
        )
    if process_count() > 1 and (devices, sharding) != ("all", "data"):
        raise InputError(
            "In several processes all devices must take part, each with all weights. "
            f"Received: devices={devices!r}, sharding={sharding!r}"
        )
    chosen = found if devices == "all" else found[:devices]
    with _shared_by(chosen, sharding) if len(chosen) > 1 else contextlib.nullcontext():
        yield len(chosen)


def _devices() -> list[Any]:
    """The accelerators of the backend, or else its CPUs."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return [device.name for device in found]
    import jax

    return jax.devices()


@contextlib.contextmanager
def _shared_by(devices, sharding):
    """What the backend calls it."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.distribute.MirroredStrategy(devices).scope():
            yield
        return
    before = keras.distribution.distribution()
    mesh = keras.distribution.DeviceMesh((len(devices),), [BATCH], devices)
    kind = keras.distribution.DataParallel if sharding == "data" else make_sharded
    keras.distribution.set_distribution(kind(mesh, auto_shard_dataset=False))
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)


def make_sharded(mesh: keras.distribution.DeviceMesh, auto_shard_dataset: bool) -> keras.distribution.ModelParallel:
    """Has the devices share rows and weights along the same axis."""

    class Sharded(keras.distribution.ModelParallel):
        """Of each weight an axis is shared: the longest that can be."""

        def get_variable_layout(self, variable):
            if getattr(variable, "_layout", None) is not None:  # an optimizer's, as its weight's
                return variable._layout
            count, shape = mesh.devices.size, variable.shape
            sides = [(side, axis) for axis, side in enumerate(shape) if side % count == 0]
            axes = [None] * len(shape)
            if sides and math.prod(shape) >= SMALL:
                axes[max(sides)[1]] = BATCH
            return keras.distribution.TensorLayout(axes, mesh)

    layout_map = keras.distribution.LayoutMap(mesh)
    return Sharded(layout_map=layout_map, batch_dim_name=BATCH, auto_shard_dataset=auto_shard_dataset)
