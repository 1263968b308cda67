"""How sure a mean is: bootstrap intervals."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

RESAMPLES = 2000
LEVEL = 0.95
NORMAL = 1.959964  # the normal distribution's quantile to it
Bounds: TypeAlias = tuple[float, float]
SHARE = (0.0, 1.0)


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A figure with what is known of it.

    Args:
        value: float.
        low, high: float, the ends of a 95 % interval; `None` where a single picture tells nothing of the spread.
        count: int. Pictures.
    """

    value: float
    low: float | None
    high: float | None
    count: int

    def overlaps(self, other: Estimate) -> bool:
        """Whether both may be the same, as far as their intervals say."""
        if None in (self.low, other.low):
            return True
        return self.low <= other.high and other.low <= self.high


def estimate(
    statistic: Callable[[np.ndarray], np.ndarray], count: int, seed: int = 0, bounds: Bounds | None = None
) -> Estimate:
    """A statistic of pictures with its bootstrap interval (Efron and Tibshirani 1993, chapter 13).

    The pictures are drawn again with replacement; what they are compared with (photographs, prompts) stays. Of few
    pictures the plain percentiles are too near each other (the same, section 12.6): by the square root of
    (count - 1) / count, and as Student's distribution is wider than the normal one, both of which is made good.

    Args:
        statistic: callable, how often each picture counts, float64 `(resamples, count)`, -> `(resamples,)`.
        count: int >= 1. Number of pictures.
        seed: int.
        bounds: smallest and largest value that there can be, beyond which no interval goes; `None` for any.
    """
    value = float(statistic(np.ones((1, count)))[0])
    if count < 2:
        return Estimate(value, None, None, count)
    rng = np.random.default_rng(seed)
    found = statistic(rng.multinomial(count, np.full(count, 1 / count), RESAMPLES).astype("float64"))
    found = found[np.isfinite(found)]
    ends = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    low, high = value + (ends - value) * np.sqrt(count / (count - 1)) * student(count - 1) / NORMAL
    low, high = (low, high) if bounds is None else np.clip((low, high), *bounds)
    return Estimate(value, float(low), float(high), count)


def student(freedom: int) -> float:
    """Student's quantile to `LEVEL` (Abramowitz and Stegun 1964, 26.7.5); right to 1 % from 3 degrees of freedom on."""
    z = NORMAL
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / freedom ** (power + 1) for power, term in enumerate(terms))


def estimate_mean(values: ArrayLike, seed: int = 0, bounds: Bounds | None = None) -> Estimate:
    """The mean of one number a picture."""
    values = np.asarray(values, "float64")
    return estimate(lambda weights: weights @ values / weights.sum(axis=1), len(values), seed, bounds)


def estimate_share(hits: ArrayLike) -> Estimate:
    """The share of pictures of which something is true, with Wilson's interval (doi:10.1080/01621459.1927.10502953).

    It is right at the ends, too: of 16 pictures of which none drifts up to a fifth may, where a bootstrap is sure.

    Args:
        hits: bool array `(count,)`.
    """
    count, share = len(hits), float(np.mean(hits))
    if count < 2:
        return Estimate(share, None, None, count)
    spread = NORMAL**2 / count
    middle = (share + spread / 2) / (1 + spread)
    half = np.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    # The ends are 0 and 1 but for rounding.
    low, high = (0.0 if share == 0 else middle - half), (1.0 if share == 1 else middle + half)
    return Estimate(share, float(low), float(high), count)


def estimate_pairs(values: ArrayLike, seed: int = 0, bounds: Bounds | None = None) -> Estimate:
    """The mean over pairs of different pictures.

    Args:
        values: float array `(count, count)`, symmetric; NaN for two that are no pair. A picture that is drawn twice is
            no pair with itself.
        seed: int.
    """
    values = np.array(values, "float64")
    np.fill_diagonal(values, np.nan)
    pairs = np.isfinite(values).astype("float64")
    values = np.where(pairs, values, 0.0)

    def summed(weights, matrix):
        return ((weights @ matrix) * weights).sum(axis=1)

    def statistic(weights):
        with np.errstate(invalid="ignore"):
            return summed(weights, values) / summed(weights, pairs)

    return estimate(statistic, len(values), seed, bounds)
