"""Seeds as a user gives them: an integer, or `None` for another one each time."""

import logging
import operator
import secrets

from keras_booth.tools.errors import InputError


def chosen_seed(seed, field="seed", below=None):
    """A seed to use.

    Args:
        seed: int >= 0; or `None` to choose one at random, which is then logged as a warning, so that what came of it
            can be had again.
        field: str. What the user calls it.
        below: int. What it must be below, where not every integer will do.

    Returns:
        int.

    Raises:
        InputError: for anything else.
    """
    if seed is None:
        seed = secrets.randbelow(2**31)
        note = "%s=None: took %s=%d; pass it to get the same again."
        logging.getLogger("keras_booth").warning(note, field, field, seed)
        return seed
    if not is_natural(seed) or (below is not None and seed >= below):
        rule = ">= 0" if below is None else f"in [0, {below})"
        raise InputError(f"`{field}` must be an integer {rule}, or None for any. Received: {field}={seed!r}")
    return operator.index(seed)


def is_natural(seed):
    """Whether it is an integer >= 0; NumPy's are."""
    try:
        return not isinstance(seed, bool) and operator.index(seed) >= 0
    except TypeError:
        return False
