"""Pauses between tries: random, growing, bounded."""

import pytest

from repository.pipeline.backoff import BASE, CAP, backoff


@pytest.mark.parametrize("attempt", [1, 2, 3, 6, 7, 50, 10_000])
def test_a_pause_lies_between_nothing_and_its_bound(attempt: int) -> None:
    bound = min(CAP, BASE * 2.0 ** min(attempt - 1, 60))
    pauses = [backoff(attempt) for _ in range(200)]
    assert 0 <= min(pauses) <= max(pauses) <= bound
    assert max(pauses) > bound / 2
    assert len(set(pauses)) > 100


def test_the_bounds_are_those_of_the_design() -> None:
    assert (BASE, CAP) == (0.005, 0.250)
