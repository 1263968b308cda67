"""A learning rate of its own for the text encoder, with any Keras optimizer."""

from keras import ops

from keras_booth.dreambooth.optimizers.fused import subclass


class TwoRates:
    """What is mixed into an optimizer's class: some variables move at a share of the learning rate, and may stop.

    Args of `give_two_rates` lie in `slow_paths`, `slow_factor` and `slow_until`.
    """

    def _groups(self, variables):
        """The variables' places, fast and slow, each with the factor of their learning rate."""
        slow = [index for index, variable in enumerate(variables) if variable.path in self.slow_paths]
        fast = [index for index in range(len(variables)) if index not in set(slow)]
        factor = self.slow_factor
        if self.slow_until is not None:
            # Of all steps, and not of those alone that change the weights, which `iterations` counts.
            factor = ops.where(self._iterations < self.slow_until, factor, 0.0)
        return (fast, 1.0), (slow, factor)

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        for places, factor in self._groups(trainable_variables):
            if places:
                super()._backend_update_step(
                    [grads[place] for place in places],
                    [trainable_variables[place] for place in places],
                    learning_rate * ops.cast(factor, "float32"),
                )

    def _apply_weight_decay(self, variables):
        decay = self.weight_decay
        if decay is None:
            return
        try:
            for places, factor in self._groups(variables):
                # Keras multiplies the decay with the learning rate, which is the same for all.
                self.weight_decay = decay * factor
                super()._apply_weight_decay([variables[place] for place in places])
        finally:
            self.weight_decay = decay


def give_two_rates(optimizer, variables, factor, until=None):
    """Have some variables move at another learning rate.

    The optimizer turns into a subclass of its own class that is saved under the old name, so a saved model says the
    rest with its own config.

    Args:
        optimizer: `keras.optimizers.Optimizer` that is not built yet.
        variables: list of `keras.Variable`.
        factor: float >= 0. What their learning rate is multiplied by.
        until: int, the step at which they stop; `None` for never.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if not isinstance(optimizer, TwoRates):
        subclass(optimizer, TwoRates)
    optimizer.slow_paths = frozenset(variable.path for variable in variables)
    optimizer.slow_factor, optimizer.slow_until = factor, until
