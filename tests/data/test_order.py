import math

import numpy as np
import pytest

from keras_booth.data.order import INSTANCE, PRIOR, SampleOrder

RATIOS = [0.1, 0.5, 1, 1.5, 2, 3, 1 / 3]


@pytest.mark.parametrize("ratio", RATIOS)
def test_every_window_holds_the_ratio(ratio):
    order = SampleOrder([3], [5], ratio)
    is_prior = np.array([order.sample(n)[0] == PRIOR for n in range(400)])
    for window in (1, 2, 3, 4, 5, 7, 11, 60):
        counts = np.convolve(is_prior, np.ones(window, int), "valid")
        exact = window * ratio / (1 + ratio)
        assert counts.min() >= math.floor(exact + 1e-9)
        assert counts.max() <= math.ceil(exact - 1e-9)


@pytest.mark.parametrize("batch_size, ratio", [(2, 1), (4, 1), (3, 2), (6, 2), (3, 0.5), (4, 3)])
def test_batches_that_divide_hold_the_ratio_exactly(batch_size, ratio):
    order = SampleOrder([3], [5], ratio)
    for batch in range(50):
        streams = [order.sample(n)[0] for n in range(batch * batch_size, (batch + 1) * batch_size)]
        assert streams.count(PRIOR) == ratio * streams.count(INSTANCE)


@pytest.mark.parametrize("ratio", RATIOS)
def test_each_stream_shows_all_before_it_repeats(ratio):
    order = SampleOrder([4], [7], ratio, seed=5)
    samples = [order.sample(n) for n in range(600)]
    for stream, count in ((INSTANCE, 4), (PRIOR, 7)):
        indices = [index for kind, _, index in samples if kind == stream]
        laps = [tuple(indices[k : k + count]) for k in range(0, len(indices) - count + 1, count)]
        assert all(sorted(lap) == list(range(count)) for lap in laps)
        assert len(set(laps)) > min(5, len(laps) - 1)  # and in changing orders


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("counts", [(1, 1), (4, 7), (5, 200), (30, 3)])
def test_samples_to_see_all_is_the_smallest_number(ratio, counts):
    order = SampleOrder([counts[0]], [counts[1]], ratio)
    number = order.samples_to_see_all()
    everything = {(INSTANCE, 0, i) for i in range(counts[0])} | {(PRIOR, 0, i) for i in range(counts[1])}
    assert {order.sample(n) for n in range(number)} == everything
    assert {order.sample(n) for n in range(number - 1)} != everything


def test_without_prior():
    order = SampleOrder([4], [], 0)
    assert order.samples_to_see_all() == 4
    assert sorted(order.sample(n) for n in range(4)) == [(INSTANCE, 0, i) for i in range(4)]


def test_no_shuffle():
    order = SampleOrder([3], [2], 1, shuffle=False)
    samples = [order.sample(n) for n in range(8)]
    assert [index for kind, _, index in samples if kind == INSTANCE] == [0, 1, 2, 0]
    assert [index for kind, _, index in samples if kind == PRIOR] == [0, 1, 0, 1]


def test_seed_changes_the_order_and_streams_differ():
    orders = [[SampleOrder([50], [50], 1, seed).sample(n)[2] for n in range(100)] for seed in (0, 1, 0)]
    assert orders[0] == orders[2] != orders[1]
    assert orders[0][::2] != orders[0][1::2]


def test_position_far_out_costs_nothing_and_stays_exact():
    order = SampleOrder([3], [5], 0.1)
    streams = [order.sample(n)[0] for n in range(11 * 10**15, 11 * 10**15 + 11)]
    assert streams.count(PRIOR) == 1


@pytest.mark.parametrize("ratio", RATIOS)
def test_subjects_take_turns(ratio):
    """Each of three subjects and two classes is shown equally often, and whole before it is shown again."""
    counts = {INSTANCE: [4, 1, 3], PRIOR: [7, 2]}
    order = SampleOrder(counts[INSTANCE], counts[PRIOR], ratio, seed=5)
    samples = [order.sample(n) for n in range(900)]
    for stream, sizes in counts.items():
        places = [(number, index) for kind, number, index in samples if kind == stream]
        assert [number for number, _ in places] == [k % len(sizes) for k in range(len(places))]
        for number, size in enumerate(sizes):
            indices = [index for other, index in places if other == number]
            laps = [indices[k : k + size] for k in range(0, len(indices) - size + 1, size)]
            assert all(sorted(lap) == list(range(size)) for lap in laps)


@pytest.mark.parametrize("instances, priors", [([4, 1, 3], [7, 2]), ([1, 1], [1]), ([2, 5], [])])
def test_samples_to_see_all_of_several(instances, priors):
    order = SampleOrder(instances, priors, 1.5 if priors else 0)
    number = order.samples_to_see_all()
    everything = {
        (stream, place, index)
        for stream, counts in ((INSTANCE, instances), (PRIOR, priors))
        for place, count in enumerate(counts)
        for index in range(count)
    }
    assert {order.sample(n) for n in range(number)} == everything
    assert {order.sample(n) for n in range(number - 1)} != everything


def test_a_subject_sees_the_same_alone_and_first_of_several():
    alone, first = SampleOrder([5], [], 0, seed=3), SampleOrder([5, 4], [], 0, seed=3)
    assert [alone.sample(n)[2] for n in range(50)] == [first.sample(2 * n)[2] for n in range(50)]
