"""The storms of the torture, for a moment each: everything promised holds, and nothing is stuck."""

import pytest

from tests.consistency.rig import OwnPostgres
from tests.consistency.storms import STORMS, rage

AMOUNTS = {
    "server-kills": 2,
    "database-kills": 3,
    "pauses": 2,
    "network": 5,
    "cancels": 500,
}


@pytest.mark.parametrize("name", STORMS)
async def test_everything_promised_holds_in_a_storm_of(name: str, killable: OwnPostgres) -> None:
    storm = STORMS[name]
    aftermath = await rage(storm, AMOUNTS[name], killable, seed=1)
    assert aftermath.counts[storm.unit] >= AMOUNTS[name]
    assert aftermath.report.changes > 100
    assert aftermath.report.violations == {}, aftermath.report
    assert aftermath.complaints == []
