"""Seeds as a user gives them: an integer, or `None` for another one each time."""

import contextlib
import logging
import operator
import random
import secrets
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from keras_booth.tools.errors import InputError
from keras_booth.tools.process.settings import BUILDING


def chosen_seed(seed: int | None, field: str = "seed", below: int | None = None) -> int:
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


@contextlib.contextmanager
def seeded_weights(seed: int | None) -> Iterator[None]:
    """Has Keras's initializers without a seed draw what a seed says, and leaves the process's own seeds as they were.

    They take their seeds from Python's generator (`keras.src.random.seed_generator.make_default_seed`).

    Args:
        seed: int; `None` to change nothing.
    """
    if seed is None:
        yield
        return
    with BUILDING:
        state = random.getstate()
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(state)


def is_natural(seed: Any) -> bool:
    """Whether it is an integer >= 0; NumPy's are."""
    try:
        return not isinstance(seed, bool) and operator.index(seed) >= 0
    except TypeError:
        return False


def picture_keys(
    prompts: int, count: int | None, seed: int | Sequence[int] | np.ndarray | None
) -> list[tuple[int, int]]:
    """`(seed, index)` of each picture of a call of `generate`."""
    several = isinstance(seed, (list, tuple, range, np.ndarray)) and np.ndim(seed) > 0
    seeds = list(seed) if several else [chosen_seed(seed)]
    if not seeds or not all(map(is_natural, seeds)):
        raise InputError(f"`seed` must be an integer >= 0, or a list of them. Received: seed={seed!r}")
    if several and count not in (None, len(seeds)):
        raise InputError(f"`count` must be the number of seeds. Received: count={count}, with {len(seeds)} seeds")
    count = len(seeds) if count is None else count
    if not is_natural(count) or count < 1:
        raise InputError(f"`count` must be >= 1. Received: count={count}")
    if several:
        return [(int(number), 0) for _ in range(prompts) for number in seeds]
    return [(seeds[0], index) for index in range(prompts * count)]
