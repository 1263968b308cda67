"""What belongs to the end of a training: gradients that are left over, and weights that are averages."""

import contextlib
from collections.abc import Iterator

import keras
from keras import ops


class Leftovers:
    """Part of an optimizer that gathers gradients: the end of a training applies those that are left.

    Keras changes the weights at every n-th step alone, and forgets what came after the last one.
    """

    def finalize_variable_values(self, var_list):
        """Called by `fit` at its end."""
        self.apply_leftovers()
        super().finalize_variable_values(var_list)

    def apply_leftovers(self):
        """Changes the weights by the mean of the gradients that are left, as if the last step had been an n-th one."""
        count = int(ops.convert_to_numpy(self._iterations)) % self.gradient_accumulation_steps
        if not count or not any(bool(ops.any(ops.not_equal(left, 0))) for left in self._accumulated_gradients):
            return
        self._iterations.assign_sub(1)
        variables = self._trainable_variables
        # The last step's share in the averages is taken from the weights before it, and given to those after it.
        self._share_in_averages(-1.0)
        gradients = self._clip_gradients([ops.divide(left, count) for left in self._accumulated_gradients])
        self._apply_weight_decay(variables)
        self._backend_update_step(gradients, variables, self.learning_rate)
        self._share_in_averages(1.0)
        self._backend_reset_gradient_accumulators()
        self._iterations.assign_add(1)

    def _share_in_averages(self, sign):
        if not self.use_ema:
            return
        momentum = self.ema_momentum if int(ops.convert_to_numpy(self.iterations)) else 0.0
        for variable, average in zip(self._trainable_variables, self._model_variables_moving_average, strict=True):
            average.assign_add(ops.multiply(variable, sign * (1.0 - momentum)))


class AveragesApart:
    """Part of an optimizer that averages weights, on JAX: at the end the weights are copies of the averages.

    Keras has both be the same arrays, of which the next step, of a second `fit`, would free one and need the other.
    """

    def _overwrite_model_variables_with_average_value(self, trainable_variables):
        for variable, average in zip(trainable_variables, self._model_variables_moving_average, strict=True):
            variable.assign(ops.copy(average))


def innermost(optimizer):
    """The optimizer inside of one that scales the loss."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def steps_of(optimizer):
    """int: how many batches an optimizer has seen; its `iterations` count changes of the weights."""
    return int(ops.convert_to_numpy(innermost(optimizer)._iterations))


@contextlib.contextmanager
def averaged(model: keras.Model) -> Iterator[None]:
    """Has a model in training hold the averages of its weights for the time of a block, if its optimizer keeps some.

    They are what `fit` leaves at its end, and so what is worth looking at before it.

    Args:
        model: `keras.Model`.
    """
    optimizer = innermost(getattr(model, "optimizer", None))
    if not getattr(optimizer, "use_ema", False) or not steps_of(optimizer):
        yield
        return
    pairs = list(zip(optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True))
    _swap(pairs)
    try:
        yield
    finally:
        _swap(pairs)


def _swap(pairs):
    for one, two in pairs:
        held = ops.convert_to_numpy(one)
        one.assign(two)
        two.assign(held)
