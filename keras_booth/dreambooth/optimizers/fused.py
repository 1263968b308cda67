"""Adam's update in one pass over memory, for TensorFlow without a GPU.

Keras updates a weight with some twenty kernels, each of which reads and writes arrays as large as the weight; for the
860 million weights of Stable Diffusion's UNet that takes longer than the backward pass. Here XLA makes one kernel of
clipping, decay, moments and step, while the rest of the training step stays as it is.
"""

import functools

from keras import ops

from keras_booth.tools.process.replicas import own_copies


class FusedAdam:
    """Part of an `Adam` or `AdamW`: the same update, to rounding."""

    _clip_scale = 1.0

    def _clip_gradients(self, grads):
        if not self.global_clipnorm:
            return super()._clip_gradients(grads)
        import tensorflow as tf

        # As `tf.clip_by_global_norm` does it; the product is left to the update.
        norm = tf.linalg.global_norm(grads)
        self._clip_scale = self.global_clipnorm / tf.maximum(norm, self.global_clipnorm)
        return grads

    def _apply_weight_decay(self, variables):
        """Left to the update."""

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        import tensorflow as tf

        step = ops.cast(self.iterations + 1, "float32")
        beta_1_power, beta_2_power = (ops.power(beta, step) for beta in (self.beta_1, self.beta_2))
        rate = ops.cast(learning_rate, "float32")
        step_size = rate * ops.sqrt(1 - beta_2_power) / (1 - beta_1_power)
        sizes = float(self.beta_1), float(self.beta_2), float(self.epsilon)
        for grad, variable in zip(grads, trainable_variables, strict=True):
            update = compiled_update(*sizes, tuple(variable.shape))
            index = self._get_variable_index(variable)
            decays = self.weight_decay is not None and self._use_weight_decay(variable)
            kept = 1.0 - self.weight_decay * rate if decays else 1.0
            numbers = [ops.cast(number, "float32") for number in (self._clip_scale, kept, step_size)]
            for state in own_copies((variable, self._momentums[index], self._velocities[index])):
                with tf.device(state[0].device):
                    update(tf.convert_to_tensor(grad), *state, *numbers)


@functools.cache
def compiled_update(beta_1, beta_2, epsilon, shape):
    """A function that XLA compiles. One for each shape: of one for all TensorFlow would warn that it is compiled too
    often."""
    import tensorflow as tf

    @tf.function(jit_compile=True, autograph=False)
    def update(grad, weight, momentum, velocity, clip_scale, kept, step_size):
        """Adam (arXiv:1412.6980, algorithm 1, with the step size of the end of its section 2), decay decoupled
        (arXiv:1711.05101)."""
        grad = tf.cast(grad, weight.dtype) * clip_scale
        new_momentum = momentum + (grad - momentum) * (1 - beta_1)
        new_velocity = velocity + (tf.square(grad) - velocity) * (1 - beta_2)
        weight.assign(weight * kept - step_size * new_momentum / (tf.sqrt(new_velocity) + epsilon))
        momentum.assign(new_momentum)
        velocity.assign(new_velocity)

    return update
