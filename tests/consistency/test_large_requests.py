"""The storm of large requests, for a moment."""

from tests.consistency import large_requests
from tests.consistency.heavy_callers import CALLERS

IN_TIME = 5.0
"""Seconds, or as many times what a small call takes without the storm, on a machine that does other
things too. Of a server without bounds it is twice that."""
TIMES_LONGER = 25


async def test_large_requests_are_served_or_refused_by_name_and_small_ones_go_on(
    own_database: str,
) -> None:
    aftermath = await large_requests.rage(own_database, seconds=8)
    assert aftermath._replace(slowest=0.0).objections == [], aftermath
    assert aftermath.slowest < max(IN_TIME, TIMES_LONGER * aftermath.quiet)
    for name in CALLERS.keys() - {"batches that do not fit"}:
        assert aftermath.heavy[f"{name}: OK"], aftermath
    assert aftermath.heavy["batches that do not fit: INVALID_ARGUMENT LIMIT_EXCEEDED"]
