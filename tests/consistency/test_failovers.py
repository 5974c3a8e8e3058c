"""What anybody was told is still true when a synchronous standby has taken over."""

import sys
from typing import Final

import pytest

from tests.consistency.failovers import rage_with_failover

CASES: Final = {
    "vouch_for_others": {"acknowledged_updates_are_there_once", "reads_are_committed_versions"},
    "keep_the_epoch": {"no_etag_outlives_a_failover"},
}
"""By sabotage, the checks that it is there for."""
ROUNDS: Final = 5


async def test_everything_that_was_told_survives_a_failover() -> None:
    report, complaints = await rage_with_failover(seed=1)
    assert report.violations == {}, report
    assert report.changes > 100
    assert complaints == []


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("sabotage", CASES)
async def test_the_checker_catches_a_server_with(sabotage: str) -> None:
    command = (sys.executable, "-m", "tests.consistency.sabotaged_server", sabotage)
    missed = set(CASES[sabotage])
    for seed in range(ROUNDS):
        report, _ = await rage_with_failover(seed, command)
        missed -= set(report.violations)
        if not missed:
            return
    pytest.fail(f"{missed} did not find {sabotage}\n{report}")
