"""A time-out is never none, however short or long it is."""

import pytest

from runtime.time_outs import milliseconds


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(1e-9, 1), (0.0015, 1), (0.5, 500), (10.0, 10_000), (1e12, 2**31 - 1)],
)
def test_a_time_out_is_at_least_a_millisecond_and_at_most_what_fits(
    seconds: float, expected: int
) -> None:
    assert milliseconds(seconds) == expected
