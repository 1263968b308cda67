"""What `DreamBooth.compile` refuses."""

import math
import numbers

import keras

from keras_booth.tools.errors import InputError

PRIOR_TARGETS = ("images", "base")
UNUSED = ("loss", "loss_weights", "metrics", "weighted_metrics")


def check_number(name, value, above=None, optional=False):
    """A number as a float; refuse what is none >= 0, or not above one. `None` if it is optional and left out."""
    if value is None and optional:
        return None
    good = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    if not good or value < 0 or (above is not None and value <= above):
        rule = ">= 0" if above is None else f"> {above}"
        raise InputError(f"`{name}` must be a number {rule}. Received: {name}={value!r}")
    return float(value)


def check_prior_target(booth, target):
    """The target of class images; refuse the base's prediction where the base is not there any more."""
    if target not in PRIOR_TARGETS:
        raise InputError(f"`prior_target` must be one of {PRIOR_TARGETS}. Received: prior_target={target!r}")
    if target == "base" and booth.adapters is None:
        raise InputError(
            "`prior_target` 'base' is for LoRA, beside which the base's weights stay as they are: make the model with "
            "lora=LoraConfig(…), or take 'images'. Received: prior_target='base' of a model without LoRA"
        )
    return target


def refuse_unused(arguments):
    """Refuse arguments of `keras.Model.compile` that a DreamBooth would leave aside without a word."""
    for name in UNUSED:
        value = arguments.pop(name, None)
        if value is not None:
            raise InputError(
                "A DreamBooth brings its own loss, the paper's, and measures `loss`, `instance_loss` and `prior_loss`: "
                f"leave the argument out. Received: {name}={value!r}"
            )


def check_trainable(booth):
    """Refuse a model of which nothing, or nothing that could be, is trained."""
    if not booth.trainable_variables:
        raise InputError(
            "Nothing of the model is trainable: leave `booth.unet.trainable` as it is, or give the model "
            f"lora=LoraConfig(…). Received: unet.trainable={booth.unet.trainable}, "
            f"text_encoder.trainable={booth.text_encoder.trainable}"
        )
    coarse = next((v for v in booth.trainable_variables if v.dtype != "float32"), None)
    if coarse is not None:
        raise InputError(
            "Weights in half precision are too coarse to be trained: use LoRA, or "
            f"dtype='mixed_{booth.dtype_policy.name}'. Received: dtype={booth.dtype_policy.name!r}"
        )
    if keras.config.floatx() != "float32":
        raise InputError(
            "Keras would keep the losses and the learning rate in another precision: call "
            "keras.config.set_floatx('float32') first, or take it out of keras.json; half precision is asked for by "
            f"the model's `dtype`. Received: floatx={keras.config.floatx()!r}"
        )
