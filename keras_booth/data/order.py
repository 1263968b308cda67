"""Which photograph comes when: the endless, seeded order of instance and class images, as a function of position.

Several subjects take turns: each stream shows one picture of the first, one of the second and so on.

Sample `n` of a run is the same whoever asks, and whether or not samples 0 to n-1 were asked for before. That is what
lets a resumed run see what the uninterrupted one would have seen.
"""

import functools
import math
from fractions import Fraction

import numpy as np

INSTANCE, PRIOR, AUGMENT = 0, 1, 2  # streams of random numbers under one seed


class SampleOrder:
    """The merged order of an instance stream and a prior stream.

    Of any run of consecutive samples, the share of prior samples is `ratio / (1 + ratio)`, rounded down or up. Each
    set of photographs is gone through before one is shown again, every time in another order.

    Args:
        instance_counts: Sequence of ints, number of instance photographs of each subject, at least 1.
        prior_counts: Sequence of ints, number of class images of each class; empty when `ratio` is 0.
        ratio: Number >= 0, class images per instance image.
        seed: Int >= 0.
        shuffle: Boolean. If `False`, each stream runs in its own order, again and again.
    """

    def __init__(self, instance_counts, prior_counts, ratio, seed=0, shuffle=True):
        self.counts = {INSTANCE: tuple(instance_counts), PRIOR: tuple(prior_counts)}
        # As a fraction, so that 0.1 means one tenth and no rounding error grows along an endless stream.
        ratio = Fraction(ratio).limit_denominator(1_000_000)
        self.prior_share = ratio / (1 + ratio)
        self.seed = seed
        self.shuffle = shuffle

    def sample(self, n):
        """Returns `(stream, number, index)` of sample `n`: `INSTANCE` or `PRIOR`, which set of the stream, and the
        photograph's place in it."""
        priors_before = self._priors_before(n)
        if self._priors_before(n + 1) > priors_before:
            return PRIOR, *self._photo(PRIOR, priors_before)
        return INSTANCE, *self._photo(INSTANCE, n - priors_before)

    def samples_to_see_all(self):
        """Returns how many samples it takes until every photograph of all sets was seen once."""
        instances, priors = (self._draws_to_see_all(stream) for stream in (INSTANCE, PRIOR))
        # The smallest n with n - floor(n * share) >= instances, and the smallest n with floor(n * share) >= priors.
        instance = math.floor((instances - 1) / (1 - self.prior_share)) + 1
        prior = math.ceil(priors / self.prior_share) if self.prior_share else 0
        return max(instance, prior)

    def _draws_to_see_all(self, stream):
        counts = self.counts[stream]
        return max(((count - 1) * len(counts) + number + 1 for number, count in enumerate(counts)), default=0)

    def _priors_before(self, n):
        return math.floor(n * self.prior_share)

    def _photo(self, stream, k):
        counts = self.counts[stream]
        turn, number = divmod(k, len(counts))
        lap, place = divmod(turn, counts[number])
        if self.shuffle:
            place = int(_shuffled(self.seed, stream, number, lap, counts[number])[place])
        return number, place


@functools.lru_cache(maxsize=64)
def _shuffled(seed, stream, number, lap, count):
    # The first set's numbers come out as if there were no others.
    return np.random.default_rng([seed, stream, lap, *([number] if number else [])]).permutation(count)
