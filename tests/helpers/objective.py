"""Values and gradients of the objective."""

import numpy as np

from tests.helpers.arrays import array

MIXED = (False, True, False, True)


def losses(booth, batch):
    """loss, instance_loss and prior_loss of one evaluation."""
    logs = booth.test_on_batch(batch, return_dict=True)
    return np.array([logs[name] for name in ("loss", "instance_loss", "prior_loss")])


def gradients(booth, batch):
    """The gradient of the objective, one float64 vector, by one step of plain gradient descent."""
    before = [array(variable) for variable in booth.trainable_variables]
    booth.train_on_batch(batch)
    after = [array(variable) for variable in booth.trainable_variables]
    flat = [(b.astype("float64") - a).ravel() for b, a in zip(before, after, strict=True)]
    for variable, value in zip(booth.trainable_variables, before, strict=True):
        variable.assign(value)
    return np.concatenate(flat)
