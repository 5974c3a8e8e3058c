"""The times of a load, as quantiles, in bounded memory."""

import random

import pytest

from cli.bench.tally import Tally


def test_quantiles_are_right_to_one_percent() -> None:
    choice = random.Random(5)
    times = [choice.lognormvariate(-6, 1) for _ in range(10_000)]
    tally = Tally()
    for each in times:
        tally.answered(each)
    times.sort()
    for share in (0.5, 0.99):
        exact = times[round(share * len(times)) - 1]
        assert tally.within(share) == pytest.approx(exact, rel=0.011)
    assert tally.within(1.0) == tally.longest == times[-1]
    assert tally.count == 10_000


def test_memory_does_not_grow_with_the_calls() -> None:
    tally = Tally()
    for number in range(100_000):
        tally.answered(1e-4 + number * 1e-6)
    assert len(tally._buckets) < 1_000


def test_without_calls_there_is_no_time() -> None:
    assert Tally().within(0.5) == 0.0
