"""What TensorFlow and JAX have here, and are best told."""

import ctypes
import functools
import os
import sys

import keras
import psutil

# From <malloc.h>.
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8


def has_accelerator() -> bool:
    """Whether Keras's backend computes on anything but the CPU."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return bool(tf.config.list_physical_devices("GPU"))
    import jax

    return jax.default_backend() != "cpu"


def accelerator_memory() -> int | None:
    """Bytes that the backend may take of its smallest GPU's memory; `None` where there is none, or it does not say."""
    if not has_accelerator():
        return None
    if keras.backend.backend() == "tensorflow":
        from tensorflow.python.client import device_lib

        found = [device.memory_limit for device in device_lib.list_local_devices() if device.device_type == "GPU"]
    else:
        import jax

        found = [(device.memory_stats() or {}).get("bytes_limit") for device in jax.local_devices()]
    return min(filter(None, found), default=None)


def machine_memory() -> tuple[int, str]:
    """Bytes that training can take, and whose they are: a GPU's where one computes, or else this machine's."""
    accelerator = accelerator_memory()
    return (psutil.virtual_memory().total, "this machine") if accelerator is None else (accelerator, "the GPU")


def prefers_jit() -> bool:
    """Whether XLA was measured to be faster: everywhere but on TensorFlow without a GPU."""
    return keras.backend.backend() != "tensorflow" or has_accelerator()


@functools.cache
def keep_freed_memory() -> None:
    """Have the process keep the memory that TensorFlow frees, instead of handing it back to the system.

    By itself glibc maps every large array anew, and the system fills it with zeros page by page: on two cores that is a
    third to a half of a training step of Stable Diffusion (`benchmarks/train_step.py`). The peak stays the same. Does
    nothing with a GPU, another C library, or where the environment says how to allocate (`MALLOC_…`, `GLIBC_TUNABLES`).
    """
    told = any(name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in os.environ)
    if told or prefers_jit() or not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    # One heap for all threads, never given back, and nothing outside of it.
    for parameter, value in ((M_ARENA_MAX, 1), (M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1)):
        mallopt(parameter, value)
