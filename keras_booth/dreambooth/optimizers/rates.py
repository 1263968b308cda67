"""A learning rate of its own for each text encoder, with any Keras optimizer."""

import dataclasses

from keras import ops


@dataclasses.dataclass(frozen=True)
class SlowGroup:
    """Variables that move at other learning rates.

    Args:
        factors: dict by the paths of the variables, what the learning rate is multiplied by, float >= 0.
        until: int, the step at which they stop; `None` for never.
    """

    factors: dict[str, float]
    until: int | None = None


class TwoRates:
    """Part of an optimizer: the variables of `slow`, a `SlowGroup`, move at other rates, and may stop."""

    def _groups(self, variables):
        """The variables' places by their learning rates, each group with its factor; the others' is the first."""
        places = {None: []} | {factor: [] for factor in sorted(set(self.slow.factors.values()))}
        for index, variable in enumerate(variables):
            places[self.slow.factors.get(variable.path)].append(index)
        return [(group, 1.0 if factor is None else self._slowed(factor)) for factor, group in places.items()]

    def _slowed(self, factor):
        """The factor of a learning rate as it is now."""
        if self.slow.until is None:
            return factor
        # Of all steps, and not of those alone that change the weights, which `iterations` counts.
        return ops.where(self._iterations < self.slow.until, factor, 0.0)

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
