"""A learning rate of its own for the text encoder, with any Keras optimizer."""

import dataclasses

from keras import ops


@dataclasses.dataclass(frozen=True)
class SlowGroup:
    """Variables that move at another learning rate.

    Args:
        paths: frozenset of str, the paths of the variables.
        factor: float >= 0. What their learning rate is multiplied by.
        until: int, the step at which they stop; `None` for never.
    """

    paths: frozenset
    factor: float
    until: int | None = None


class TwoRates:
    """Part of an optimizer: the variables of `slow`, a `SlowGroup`, move at another rate, and may stop."""

    def _groups(self, variables):
        """The variables' places, fast and slow, each with the factor of their learning rate."""
        slow = [index for index, variable in enumerate(variables) if variable.path in self.slow.paths]
        fast = [index for index in range(len(variables)) if index not in set(slow)]
        factor = self.slow.factor
        if self.slow.until is not None:
            # Of all steps, and not of those alone that change the weights, which `iterations` counts.
            factor = ops.where(self._iterations < self.slow.until, factor, 0.0)
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
