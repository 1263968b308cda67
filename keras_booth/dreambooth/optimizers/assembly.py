"""What `DreamBooth.compile` makes of an optimizer: one of a subclass of its class, with the parts that are needed."""

import functools

import keras

from keras_booth.dreambooth.optimizers.ending import AveragesApart, Leftovers, innermost
from keras_booth.dreambooth.optimizers.fused import FusedAdam
from keras_booth.dreambooth.optimizers.rates import TwoRates
from keras_booth.dreambooth.optimizers.replicas import OwnCopies, ScalesAlone, SumsFirst
from keras_booth.tools.errors import InputError
from keras_booth.tools.process.replicas import make_own, replica_count

# From the outermost to the innermost, whatever order they are asked for in: leftovers are a step like any other, so its
# update must go through the rates; each rate's share of the variables is updated by Adam, fused or not. What is summed
# over devices is summed before all else.
PARTS = ScalesAlone, SumsFirst, Leftovers, AveragesApart, TwoRates, FusedAdam, OwnCopies
SCALARS = "_iterations", "_learning_rate"
# Where Keras keeps what `exclude_from_weight_decay` was told, which no config says.
EXCLUDED = "_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern", "_exclude_from_weight_decay_cache"


def assemble(optimizer, *, fused=False, slow=None):
    """An optimizer that computes what the given one does, and more.

    The one that was given stays as it is, and both share learning rate and count of steps: who kept it goes on to
    read and to set them by it. An optimizer that needs no part is returned itself.

    Args:
        optimizer: `keras.optimizers.Optimizer`; of one that scales the loss the inner one is exchanged.
        fused: bool. Whether Adam and AdamW update in one pass; others do as they did.
        slow: `SlowGroup`, the variables with a learning rate of their own; `None` for none.

    Raises:
        InputError: for an optimizer that cannot be made anew from its config.
    """
    inner = innermost(optimizer)
    kind = plain_class(type(inner))
    several = replica_count() > 1
    wanted = {
        SumsFirst: several and inner is optimizer,
        OwnCopies: several,
        Leftovers: bool(inner.gradient_accumulation_steps),
        AveragesApart: inner.use_ema and keras.backend.backend() == "jax",
        TwoRates: slow is not None,
        FusedAdam: fused and kind in (keras.optimizers.Adam, keras.optimizers.AdamW) and not inner.amsgrad,
    }
    made = remade(inner, extended(kind, tuple(part for part in PARTS if wanted.get(part))))
    if slow is not None:
        made.slow = slow
    if inner is optimizer:
        return made
    if several:
        kind = extended(plain_class(type(optimizer)), (ScalesAlone,))
        return kind(made, optimizer.initial_scale, optimizer.dynamic_growth_steps, name=optimizer.name)
    optimizer.inner_optimizer = made
    return optimizer


@functools.cache
def extended(kind, parts):
    """The subclass of an optimizer's class with parts mixed in; the class itself with none."""
    if not parts:
        return kind
    # By the name of its parent, so that whoever serializes such an optimizer gets a plain one.
    return type(kind.__name__, (*parts, kind), {"__module__": kind.__module__, "__qualname__": kind.__qualname__})


def plain_class(kind):
    """The class that parts were mixed into."""
    return next(base for base in kind.__mro__ if not issubclass(base, PARTS))


def remade(optimizer, kind):
    """An optimizer of another class with the same settings, rate, count of steps and state."""
    if type(optimizer) is kind:
        return optimizer
    rate = optimizer._learning_rate
    try:
        config = optimizer.get_config()
        # A schedule is shared; of a variable the value is, until it is shared itself.
        made = kind.from_config(config if isinstance(rate, keras.Variable) else config | {"learning_rate": rate})
    except (NotImplementedError, TypeError) as error:
        raise InputError(
            "The optimizer must be one that can be made anew from its config: give its class the method `get_config`, "
            f"as Keras asks for. Received: optimizer={type(optimizer).__name__}, {error}"
        ) from error
    share_scalars(made, optimizer)
    for name in EXCLUDED:
        if hasattr(optimizer, name):
            setattr(made, name, getattr(optimizer, name))
    if optimizer.built:
        made.build(optimizer._trainable_variables)
        for ours, theirs in zip(made.variables, optimizer.variables, strict=True):
            ours.assign(theirs)
    return made


def share_scalars(made, optimizer):
    """Have a new optimizer use the learning rate and the count of steps of another one."""
    names = [name for name in SCALARS if isinstance(getattr(made, name), keras.Variable)]
    for name in names:
        made._untrack_variable(getattr(made, name))
    # Both are gone by now, so that they are tracked in the old order, in which states are saved.
    for name in names:
        if replica_count() > 1:
            make_own(getattr(optimizer, name))
        setattr(made, name, getattr(optimizer, name))


def serialized(optimizer):
    """The config of an optimizer without the parts, which `compile` adds again."""
    config = keras.optimizers.serialize(optimizer)
    inner, kind = innermost(optimizer), plain_class(type(optimizer))
    if inner is not optimizer:
        config["config"]["inner_optimizer"] = serialized(inner)
    elif kind is not type(optimizer):
        config = keras.optimizers.serialize(kind.from_config(optimizer.get_config()))
    return config
