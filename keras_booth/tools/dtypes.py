"""The precisions in which weights are stored, and those in which frozen ones are kept."""

from keras_booth.tools.errors import InputError

STORED = ("float32", "float16")
# Weights of half the size, too coarse to be trained.
HALF = ("bfloat16", "float16")
# Those in which a model computes, as Keras's policies are called.
POLICIES = ("float32", "mixed_bfloat16", "mixed_float16", *HALF)


def check_stored(dtype: str) -> None:
    """Raises an `InputError` unless weights can be stored in this precision."""
    if dtype not in STORED:
        raise InputError(f"`dtype` must be one of {STORED}. Received: dtype={dtype!r}")
