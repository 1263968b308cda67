"""Memory that runs out, for real: of numbers that no machine has."""

import numpy as np
import pytest

from keras_booth.tools.errors import OutOfMemory
from keras_booth.workflow.memory import enough_memory
from keras_booth.workflow.parsing import parse_config

CONFIG = parse_config(["--subject.photos", "photos", "--subject.class_noun", "dog"])
ECONOMICAL = CONFIG.replace(
    "training", batch_size=1, gradient_checkpointing=True, cache_latents=True, optimizer="adafactor"
).replace("lora", rank=4)


def tensor():
    tf = pytest.importorskip("tensorflow")
    return tf.zeros([2**48], "uint8")


@pytest.mark.parametrize("ask", [lambda: np.ones(2**52, "uint8"), lambda: bytearray(2**60), tensor])
def test_one_sentence(ask):
    with pytest.raises(OutOfMemory) as caught, enough_memory(CONFIG):
        ask()
    assert str(caught.value) == (
        "The memory was not enough. What takes less: training.batch_size 1, lora.rank 4, "
        "training.gradient_checkpointing true, training.optimizer adafactor"
    )


def test_only_what_is_left_to_do():
    with pytest.raises(OutOfMemory) as caught, enough_memory(ECONOMICAL):
        raise MemoryError
    said = "base.dtype mixed_bfloat16, sampling.batch_size 1, a smaller base.image_size"
    assert str(caught.value) == f"The memory was not enough. What takes less: {said}"


@pytest.mark.parametrize("error", [ValueError("a fault of ours"), RuntimeError("memory"), KeyError("x")])
def test_a_fault_of_ours_stays_one(error):
    with pytest.raises(type(error)) as caught, enough_memory(CONFIG):
        raise error
    assert caught.value is error


def test_a_full_disk_is_no_memory():
    """TensorFlow has one error for both."""
    tf = pytest.importorskip("tensorflow")
    error = tf.errors.ResourceExhaustedError(None, None, "/tmp/a; No space left on device")
    with pytest.raises(tf.errors.ResourceExhaustedError), enough_memory(CONFIG):
        raise error
