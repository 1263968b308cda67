"""Estimates against closed forms, and their intervals against simulated truths."""

import numpy as np
import pytest

from keras_booth.evaluation.intervals import SHARE, Estimate, estimate_mean, estimate_pairs, estimate_share, student


def covered(simulate, count=300):
    """In how many of 100 simulations the interval holds the truth."""
    hits = 0
    for seed in range(count):
        found, truth = simulate(np.random.default_rng(seed), seed)
        hits += found.low <= truth <= found.high
    return 100 * hits / count


@pytest.mark.parametrize("size", [8, 30, 100])
def test_interval_of_a_mean_covers_the_truth(size):
    def simulate(rng, seed):
        return estimate_mean(rng.beta(5, 2, size), seed), 5 / 7

    assert 90 <= covered(simulate) <= 99


@pytest.mark.parametrize("size", [12, 48])
def test_interval_of_pairs_covers_the_truth(size):
    """Of |x - y| of normal numbers, whose mean is 2 / sqrt(pi)."""

    def simulate(rng, seed):
        numbers = rng.standard_normal(size)
        return estimate_pairs(np.abs(numbers[:, None] - numbers), seed), 2 / np.sqrt(np.pi)

    assert 90 <= covered(simulate) <= 99


@pytest.mark.parametrize("freedom, quantile", [(3, 3.182), (5, 2.571), (10, 2.228), (30, 2.042), (1000, 1.962)])
def test_students_quantile(freedom, quantile):
    assert student(freedom) == pytest.approx(quantile, rel=1e-2)


def test_mean_and_width():
    """The interval of a mean is about two standard errors to each side."""
    values = np.random.default_rng(0).normal(3, 2, 400)
    found = estimate_mean(values)
    error = values.std(ddof=1) / 20
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)
    assert found.count == 400


@pytest.mark.parametrize("size, truth", [(16, 0.1), (30, 0.5), (100, 0.95)])
def test_interval_of_a_share_covers_the_truth(size, truth):
    """It covers too little nowhere, and more than it says for few pictures."""
    assert 90 <= covered(lambda rng, _: (estimate_share(rng.random(size) < truth), truth))


@pytest.mark.parametrize(
    "hits, count, low, high", [(8, 20, 0.2188, 0.6134), (0, 16, 0.0, 0.1936), (16, 16, 0.8064, 1.0)]
)
def test_wilsons_interval(hits, count, low, high):
    """Numbers by hand: of none of n pictures the upper end is z² / (n + z²)."""
    found = estimate_share([True] * hits + [False] * (count - hits))
    assert (found.value, found.count) == (hits / count, count)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


def test_a_share_of_one_picture_has_none():
    assert estimate_share([True]) == Estimate(1.0, None, None, 1)


def test_a_share_has_no_interval_beyond_1():
    values = [1.0] * 31 + [0.0]
    found, free = estimate_mean(values, bounds=SHARE), estimate_mean(values)
    assert free.high > 1 == found.high and found.low == free.low > 0.8
    assert estimate_mean([1.0 - value for value in values], bounds=SHARE).low == 0


def test_pairs_by_hand():
    distances = [[9.0, 1.0, 2.0], [1.0, 9.0, 6.0], [2.0, 6.0, 9.0]]
    assert estimate_pairs(distances).value == pytest.approx(3)


def test_pairs_of_two_groups():
    distances = np.full((4, 4), np.nan)
    distances[:2, :2] = [[0, 1], [1, 0]]
    distances[2:, 2:] = [[0, 5], [5, 0]]
    assert estimate_pairs(distances).value == pytest.approx(3)


def test_order_does_not_matter():
    rng = np.random.default_rng(0)
    values, order = rng.random(20), rng.permutation(20)
    distances = np.abs(values[:, None] - values)
    assert estimate_mean(values[order]).value == pytest.approx(estimate_mean(values).value)
    assert estimate_pairs(distances[np.ix_(order, order)]).value == pytest.approx(estimate_pairs(distances).value)


def test_one_picture_has_no_interval():
    assert estimate_mean([0.5]) == Estimate(0.5, None, None, 1)


def test_equal_pictures_have_a_narrow_one():
    assert estimate_mean([0.5] * 6) == Estimate(0.5, 0.5, 0.5, 6)


def test_overlap():
    one, near, far = Estimate(1, 0.5, 1.5, 9), Estimate(2, 1.5, 2.5, 9), Estimate(3, 2.6, 3.5, 9)
    assert one.overlaps(near) and near.overlaps(one)
    assert not near.overlaps(far) and not far.overlaps(one)
    assert one.overlaps(Estimate(9, None, None, 1))
