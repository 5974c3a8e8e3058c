"""Histograms count as Prometheus' histograms do."""

from telemetry.metrics import Histogram


def test_a_size_is_counted_in_the_smallest_bucket_that_holds_it() -> None:
    sizes = Histogram((1, 10, 100))
    for size in (0, 1, 1.5, 10, 100, 101, 1e9):
        sizes.observe(size)
    assert sizes.counts == [2, 2, 1, 2]
    assert sizes.total == 1_000_000_213.5
