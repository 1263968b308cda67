"""Nothing of a model stays in the process when it goes."""

import gc

import keras
import psutil
import pytest

from keras_booth.tools.process.gradients import let_go_with
from tests.helpers.booths import fixed_batch, small_booth

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's table")


def gradients():
    """The names in TensorFlow's table that it made for functions like `tf.custom_gradient`'s."""
    from tensorflow.python.framework import ops

    return {name for name in ops.gradient_registry._registry if name.startswith("CustomGradient-")}


def graphs():
    gc.collect()
    return sum(type(thing).__name__ == "FuncGraph" for thing in gc.get_objects())


class Owner:
    """What is compiled."""


def test_gradients_go_with_their_owner():
    import tensorflow as tf

    owners = [Owner()]

    @tf.function
    def swished(x):
        with let_go_with(owners[0]):
            return tf.nn.silu(x)

    before = gradients()
    with tf.GradientTape() as tape:
        x = tf.constant(0.0)
        tape.watch(x)
        y = swished(x)
    assert float(tape.gradient(y, x)) == 0.5
    assert len(gradients() - before) == 1
    owners.clear()
    del swished
    gc.collect()
    assert gradients() == before


def use(booth):
    """Draw, and train a step."""
    booth.generate("a dog", steps=1, guidance_scale=1.0)
    booth.compile(keras.optimizers.SGD(1e-3))
    booth.train_on_batch(fixed_batch(booth, [False, True]))


@pytest.mark.large
def test_models_leave_no_graphs():
    use(small_booth())
    before, kept = gradients(), graphs()
    use(small_booth())
    assert graphs() <= kept and len(gradients()) <= len(before)


@pytest.mark.large
def test_memory_stays_flat():
    """Ten models made, used and deleted; 25 numbers of steps."""
    process = psutil.Process()

    def held():
        gc.collect()
        return process.memory_info().rss / 1e6

    for _ in range(5):
        use(small_booth())
    before = held()
    for _ in range(10):
        use(small_booth())
    assert held() - before < 10 * 5
    booth = small_booth()
    for steps in (2, 10, 20):
        booth.generate("a dog", steps=steps)
    before = held()
    for steps in range(1, 26):
        booth.generate("a dog", steps=steps)
    assert held() - before < 25
