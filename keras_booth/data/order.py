"""Which photograph comes when: the endless, seeded order of instance and class images, as a function of position.

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
    stream goes through all its photographs before it shows one again, every time in another order.

    Args:
        instance_count: Int, number of instance photographs, at least 1.
        prior_count: Int, number of class images; may be 0 when `ratio` is.
        ratio: Number >= 0, class images per instance image.
        seed: Int >= 0.
        shuffle: Boolean. If `False`, each stream runs in its own order, again and again.
    """

    def __init__(self, instance_count, prior_count, ratio, seed=0, shuffle=True):
        self.counts = {INSTANCE: instance_count, PRIOR: prior_count}
        # As a fraction, so that 0.1 means one tenth and no rounding error grows along an endless stream.
        ratio = Fraction(ratio).limit_denominator(1_000_000)
        self.prior_share = ratio / (1 + ratio)
        self.seed = seed
        self.shuffle = shuffle

    def sample(self, n):
        """Returns `(stream, index)` of sample `n`: `INSTANCE` or `PRIOR`, and the photograph's place in its list."""
        priors_before = self._priors_before(n)
        if self._priors_before(n + 1) > priors_before:
            return PRIOR, self._photo(PRIOR, priors_before)
        return INSTANCE, self._photo(INSTANCE, n - priors_before)

    def samples_to_see_all(self):
        """Returns how many samples it takes until every photograph of both streams was seen once."""
        # The smallest n with n - floor(n * share) >= instances, and the smallest n with floor(n * share) >= priors.
        instance = math.floor((self.counts[INSTANCE] - 1) / (1 - self.prior_share)) + 1
        prior = math.ceil(self.counts[PRIOR] / self.prior_share) if self.prior_share else 0
        return max(instance, prior)

    def _priors_before(self, n):
        return math.floor(n * self.prior_share)

    def _photo(self, stream, k):
        lap, place = divmod(k, self.counts[stream])
        return int(_shuffled(self.seed, stream, lap, self.counts[stream])[place]) if self.shuffle else place


@functools.lru_cache(maxsize=16)
def _shuffled(seed, stream, lap, count):
    return np.random.default_rng([seed, stream, lap]).permutation(count)
