"""An optimizer with parts is another one of an open subclass; what the user gave stays what it was, and in control."""

import keras
import numpy as np
import pytest

from keras_booth.dreambooth.optimizers.assembly import PARTS, assemble, plain_class, serialized
from keras_booth.dreambooth.optimizers.ending import Leftovers
from keras_booth.dreambooth.optimizers.fused import FusedAdam
from keras_booth.dreambooth.optimizers.rates import SlowGroup, TwoRates
from keras_booth.tools.errors import InputError

GATHERS = {"gradient_accumulation_steps": 2}


@keras.saving.register_keras_serializable(package="test_assembly")
class Mine(keras.optimizers.SGD):
    """A user's own optimizer."""


class Unsaid(keras.optimizers.SGD):
    """One whose config does not say how to make it."""

    def __init__(self, needed, **kwargs):
        super().__init__(**kwargs)


def variable(value=(1.0, -2.0), name="weight"):
    return keras.Variable(np.array(value, "float32"), name=name)


def step(optimizer, variables, gradient=1.0):
    optimizer.apply([keras.ops.full(one.shape, gradient) for one in variables], variables)


def test_the_order_is_that_of_the_parts():
    made = assemble(keras.optimizers.AdamW(0.1, **GATHERS), slow=SlowGroup({}), fused=True)
    found = [kind for kind in type(made).__mro__ if kind in PARTS]
    assert found == [part for part in PARTS if part in (Leftovers, TwoRates, FusedAdam)]
    assert plain_class(type(made)) is keras.optimizers.AdamW


def test_what_was_given_stays():
    given = keras.optimizers.AdamW(0.1, **GATHERS)
    made = assemble(given)
    assert type(given) is keras.optimizers.AdamW and made is not given
    assert assemble(made) is made


def test_the_given_one_stays_in_control():
    """As with any model of Keras: who kept the optimizer sets the rate by it, and reads the steps of it."""
    given = keras.optimizers.SGD(0.1, **GATHERS)
    made, weight = assemble(given), variable()
    made.build([weight])
    given.learning_rate = 1.0
    step(made, [weight])
    step(made, [weight])
    np.testing.assert_allclose(weight.numpy(), [0.0, -3.0])
    assert int(given.iterations) == int(made.iterations) == 1
    assert float(made.learning_rate) == 1.0


def test_a_schedule_is_the_same():
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    assert assemble(keras.optimizers.SGD(schedule, **GATHERS))._learning_rate is schedule


def test_variables_without_weight_decay():
    kept, decays = variable(name="bias"), variable(name="kernel")
    given = keras.optimizers.AdamW(0.1, weight_decay=0.5, **GATHERS)
    given.exclude_from_weight_decay(var_names=["bias"])
    made = assemble(given)
    made.build([kept, decays])
    for _ in range(2):
        step(made, [kept, decays], gradient=0.0)
    np.testing.assert_allclose(kept.numpy(), [1.0, -2.0])
    np.testing.assert_allclose(decays.numpy(), [0.95, -1.9], rtol=1e-6)


def test_state_of_one_that_was_used():
    weight, other = variable(), variable()
    given, same = (keras.optimizers.SGD(0.1, momentum=0.9) for _ in range(2))
    step(given, [weight])
    step(same, [other])
    made = assemble(given, slow=SlowGroup({}))
    step(made, [weight])
    step(same, [other])
    np.testing.assert_allclose(weight.numpy(), other.numpy(), rtol=1e-6)


def test_inside_of_a_scaled_loss():
    inner = keras.optimizers.SGD(0.1, **GATHERS)
    outer = keras.optimizers.LossScaleOptimizer(inner)
    assert assemble(outer) is outer
    assert type(inner) is keras.optimizers.SGD and isinstance(outer.inner_optimizer, PARTS)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("kind", [keras.optimizers.Lion, Mine])
def test_is_saved_as_it_was_given(kind, scaled):
    optimizer = kind(0.25, **GATHERS)
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    again = keras.optimizers.deserialize(serialized(assemble(optimizer)))
    inner = again.inner_optimizer if scaled else again
    assert type(inner) is kind and float(inner.learning_rate) == 0.25 and inner.gradient_accumulation_steps == 2


def test_no_config_to_make_it_of():
    optimizer = Unsaid(1)
    assert assemble(optimizer) is optimizer
    with pytest.raises(InputError, match="get_config.*Received: optimizer=Unsaid"):
        assemble(Unsaid(1, **GATHERS))
