"""No gradient is lost at the end of a training, and a step is a batch."""

import keras
import numpy as np
import pytest

from keras_booth.dreambooth.optimizers.assembly import assemble
from keras_booth.dreambooth.optimizers.ending import averaged, steps_of
from keras_booth.dreambooth.optimizers.rates import SlowGroup

KINDS = {
    "sgd": lambda **options: keras.optimizers.SGD(0.1, **options),
    "adamw": lambda **options: keras.optimizers.AdamW(0.1, weight_decay=0.3, global_clipnorm=0.5, **options),
    "lion": lambda **options: keras.optimizers.Lion(0.1, **options),
}


def trained(optimizer, gradients, ends=1, fused=True):
    """The weight after some steps and the end of the training."""
    variable = keras.Variable(np.array([1.0, -2.0], "float32"))
    optimizer = assemble(optimizer, fused=fused and keras.backend.backend() == "tensorflow")
    optimizer.build([variable])
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(np.array([gradient, 1.0], "float32"))], [variable])
    for _ in range(ends):
        optimizer.finalize_variable_values([variable])
    return keras.ops.convert_to_numpy(variable)


@pytest.mark.floor
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ema", [{}, {"use_ema": True, "ema_momentum": 0.5}], ids=["plain", "averaged"])
def test_leftovers_are_a_step_of_their_mean(kind, ema):
    """Six steps by fours are what a four and a two are: the mean of each, one after the other."""
    gradients = [3.0, -1.0, 2.0, 4.0, 1.0, -5.0]
    found = trained(KINDS[kind](gradient_accumulation_steps=4, **ema), gradients)
    again = trained(KINDS[kind](gradient_accumulation_steps=4, **ema), gradients, ends=2)
    np.testing.assert_array_equal(found, again)
    ends = [trained(KINDS[kind](), means) for means in ([2.0], [2.0, -2.0])]
    expected = ends[1]
    if ema:
        # The average, step by step: while nothing has changed it follows the weights; then a half of each.
        expected = 0.5 * (0.5 * ends[0] + 0.5 * ends[0]) + 0.5 * ends[1]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_fewer_steps_than_are_gathered():
    np.testing.assert_allclose(trained(KINDS["sgd"](gradient_accumulation_steps=4), [1.0, 2.0, 3.0]), [0.8, -2.1])


def test_the_learning_rate_is_that_of_the_last_step():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([2], [0.0, 0.1])  # 0.1 from the fourth step on
    for steps, expected in ((3, [1.0, -2.0]), (4, [0.9, -2.1])):
        optimizer = keras.optimizers.SGD(schedule, gradient_accumulation_steps=9)
        np.testing.assert_allclose(trained(optimizer, [1.0] * steps), expected, rtol=1e-6)


def test_weights_and_averages_stay_two():
    """On JAX a step frees the arrays that it is given: one of them must not be both."""
    variable = keras.Variable(np.array([1.0, -2.0], "float32"))
    optimizer = assemble(keras.optimizers.SGD(0.1, use_ema=True))
    optimizer.build([variable])
    optimizer.apply([keras.ops.ones((2,))], [variable])
    optimizer.finalize_variable_values([variable])
    (average,) = optimizer._model_variables_moving_average
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), keras.ops.convert_to_numpy(average))
    assert variable.value is not average.value


@pytest.mark.floor
@pytest.mark.skipif(
    keras.backend.backend() == "jax", reason="Keras applies a scaled loss on JAX in a step alone, not op by op"
)
def test_inside_of_a_scaled_loss():
    inner = KINDS["sgd"](gradient_accumulation_steps=4)
    found = trained(keras.optimizers.LossScaleOptimizer(inner, initial_scale=2.0), [1.0, 2.0, 3.0], fused=False)
    np.testing.assert_allclose(found, [0.9, -2.05])
    assert steps_of(keras.optimizers.LossScaleOptimizer(inner)) == 3


@pytest.mark.parametrize(
    "until, moved", [(1, [False, False]), (2, [True, False]), (3, [True, False]), (4, [True, True])]
)
def test_slow_variables_stop_at_a_step_and_not_at_a_change(until, moved):
    slow, fast = (keras.Variable(np.array([1.0], "float32"), name=name) for name in ("slow", "fast"))
    optimizer = KINDS["sgd"](gradient_accumulation_steps=2)
    optimizer = assemble(optimizer, slow=SlowGroup({slow.path: 0.5}, until))
    optimizer.build([slow, fast])
    values = [1.0]
    for step in range(4):
        optimizer.apply([keras.ops.ones((1,))] * 2, [slow, fast])
        if step % 2:
            values.append(float(slow[0]))
    assert [one != two for one, two in zip(values, values[1:], strict=False)] == moved
    assert float(fast[0]) == pytest.approx(0.8)


@pytest.mark.floor
def test_averaged_for_the_time_of_a_block():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    with averaged(model):  # not compiled: the weights as they are
        pass
    model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), "mse", run_eagerly=True)

    def read():
        return float(keras.ops.convert_to_numpy(model.weights[0])[0, 0])

    model.train_on_batch(np.ones((1, 1)), np.full((1, 1), 9.0))
    first = read()
    model.train_on_batch(np.ones((1, 1)), np.full((1, 1), 9.0))
    second = read()
    with pytest.raises(KeyboardInterrupt), averaged(model):
        assert read() == pytest.approx((first + second) / 2)
        raise KeyboardInterrupt
    assert read() == second
