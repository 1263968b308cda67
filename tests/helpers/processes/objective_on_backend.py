"""Print losses and some gradient entries as JSON, on whatever backend `KERAS_BACKEND` says."""

import json

import numpy as np

from tests.helpers.booths import fixed_batch, small_booth
from tests.helpers.objective import MIXED, gradients, losses

booth = small_booth()
# The backends draw different random weights from the same seed.
rng = np.random.default_rng(0)
for variable in booth.variables:
    if variable.path.startswith("seed_generator") or "seed" in variable.path:
        continue
    variable.assign(rng.standard_normal(variable.shape) * 0.05 + ("gamma" in variable.path))
booth.compile("sgd", prior_loss_weight=0.5)
booth.optimizer.learning_rate = 1.0
batch = fixed_batch(booth, MIXED)
values = losses(booth, batch)
gradient = gradients(booth, batch)
print(json.dumps([*values.tolist(), *gradient[::997].tolist()]))
