"""Optimizers on several devices of TensorFlow, for `tf.distribute.MirroredStrategy`.

Keras clips and gathers what each device has, and then sums it: another update than that of one device. It can do
neither under a scaled loss, where a condition decides whether anything is changed. Here the gradients are summed first,
and each device computes all that follows for itself, on its own copies, with the same result.
"""

from keras import ops

from keras_booth.tools.process.replicas import total


class SumsFirst:
    """Part of the outermost optimizer: gradients are those of the whole batch before anything is done with them."""

    def apply(self, grads, trainable_variables=None):
        """`keras.optimizers.Optimizer.apply`."""
        there = iter(total([grad for grad in grads if grad is not None]))
        super().apply([None if grad is None else next(there) for grad in grads], trainable_variables)


class ScalesAlone(SumsFirst):
    """Part of a `LossScaleOptimizer`: each device decides by itself, all alike, whether the gradients are finite."""

    def _tf_apply(self, grads, trainable_variables=None):
        self._common_apply(grads, trainable_variables)


class OwnCopies:
    """Part of the innermost optimizer: Keras's updates as they are on one device, on a device's own copies."""

    def _apply_weight_decay(self, variables):
        if self.weight_decay is None:
            return
        for variable in variables:
            if self._use_weight_decay(variable):
                rate = ops.cast(self.learning_rate, variable.dtype) * self.weight_decay
                variable.assign_sub(variable * rate)

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        for grad, variable in zip(grads, trainable_variables, strict=True):
            self.update_step(grad, variable, learning_rate)

    def _backend_increment_gradient_accumulators(self, grads, acc_grads):
        for grad, gathered in zip(grads, acc_grads, strict=True):
            gathered.assign_add(grad)

    def _overwrite_model_variables_with_average_value(self, trainable_variables):
        for variable, average in zip(trainable_variables, self._model_variables_moving_average, strict=True):
            variable.assign(average)
