"""How large the numbers of a config may be, and the check of one group of its fields."""

from keras_booth.tools.files.paths import expand_home
from keras_booth.workflow.settings.kinds import check_kinds

# What no run needs, and what would only take all memory or time, or be infinite in float32.
STEPS = 10**9  # of ten in a second that is three years
SEED = 2**63 - 1
RATE = 1000
WEIGHT = 10**6
FLOAT32 = 3.4e38
MOST = {
    "base.image_size": 4096,
    "prior.loss_weight": WEIGHT,
    "prior.count": 1_000_000,
    "prior.ratio": RATE,
    "prior.seed": SEED,
    "prior.steps": 10_000,
    "prior.guidance_scale": FLOAT32,
    "training.steps": STEPS,
    "training.batch_size": 10_000,
    "training.learning_rate": RATE,
    "training.warmup_steps": STEPS,
    "training.text_encoder_learning_rate": RATE,
    "training.text_encoder_2_learning_rate": RATE,
    "training.text_encoder_until": STEPS,
    "training.optimizer_arguments": 1e30,
    "training.weight_decay": RATE,
    "training.global_clipnorm": 1e30,
    "training.min_snr_gamma": FLOAT32,
    "training.noise_offset": 10,
    "training.accumulation": STEPS,
    "training.validate_every": STEPS,
    "training.hold_out": 10_000,
    "training.keep_best": STEPS,
    "training.patience": STEPS,
    "training.checkpoint_every": STEPS,
    "training.keep_last": STEPS,
    "training.seed": 2**31 - 1,
    "lora.rank": 2048,
    "lora.alpha": WEIGHT,
    "sampling.count": 1000,
    "sampling.every": STEPS,
    "sampling.steps": 10_000,
    "sampling.guidance_scale": FLOAT32,
    "sampling.batch_size": 10_000,
    "sampling.seed": SEED,
}


def check_group(options, group, *paths):
    """Refuses what is of another kind than a group's fields, and turns `~` into the home folder in some of them."""
    check_kinds(options, group, MOST)
    for name in paths:
        object.__setattr__(options, name, expand_home(getattr(options, name), f"{group}.{name}"))
