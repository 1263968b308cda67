"""Print losses and some gradient entries as JSON, on whatever backend `KERAS_BACKEND` says.

Of all weights with the paper's objective; and of LoRA with class images held against the base, with gradient
checkpointing, under which a compiler must not take the base for the model.
"""

import json

import numpy as np

from keras_booth.dreambooth import LoraConfig
from tests.helpers.booths import fixed_batch, small_booth
from tests.helpers.objective import MIXED, gradients, losses


def measured(booth, **options):
    """Losses, and every 997th entry of the gradient or, of few, every 97th."""
    # The backends draw different random weights from the same seed.
    rng = np.random.default_rng(0)
    for variable in booth.variables:
        if variable.path.startswith("seed_generator") or "seed" in variable.path:
            continue
        variable.assign(rng.standard_normal(variable.shape) * 0.05 + ("gamma" in variable.path))
    booth.compile("sgd", prior_loss_weight=0.5, **options)
    booth.optimizer.learning_rate = 1.0
    batch = fixed_batch(booth, MIXED)
    gradient = gradients(booth, batch)
    return [*losses(booth, batch).tolist(), *gradient[:: 997 if gradient.size > 1e5 else 97].tolist()]


adapted = small_booth(lora=LoraConfig(4), train_text_encoder=True)
print(json.dumps(measured(small_booth()) + measured(adapted, prior_target="base", gradient_checkpointing=True)))
