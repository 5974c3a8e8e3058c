"""The storms of the torture, for a moment each: everything promised holds, and nothing is stuck."""

import asyncio

import pytest

from tests.consistency.eager_server import EAGER
from tests.consistency.environment import OwnPostgres, rig
from tests.consistency.storms import STORMS, rage
from tests.consistency.traffic import traffic
from tests.kit.scraping import metrics_address_in, scrape_at
from tests.kit.waiting import PATIENCE

AMOUNTS = {
    "server-kills": 2,
    "database-kills": 3,
    "pauses": 2,
    "network": 5,
    "cancels": 200,
    "chained-server-kills": 1,
    "chained-database-kills": 2,
    "chained-network": 4,
    "chained-cancels": 200,
    "chained-two-servers": 1,
    "chained-two-servers-network": 3,
}


@pytest.mark.parametrize("name", STORMS)
async def test_everything_promised_holds_in_a_storm_of(name: str, killable: OwnPostgres) -> None:
    storm = STORMS[name]
    aftermath = await rage(storm, AMOUNTS[name], killable, seed=1)
    assert aftermath.counts[storm.unit] >= AMOUNTS[name]
    assert aftermath.report.changes > 10
    assert aftermath.report.violations == {}, aftermath.report
    assert aftermath.complaints == []


@pytest.mark.parametrize("servers", [1, 2])
async def test_batches_follow_each_other_in_the_storms_that_are_about_that(
    servers: int, own_database: str
) -> None:
    settings = {"metrics_listen": "127.0.0.1:0"}
    async with (
        rig(own_database, servers=servers, command=EAGER, settings=settings) as stand,
        traffic(stand.recorder, stand.fleet.addresses),
    ):
        for server in stand.fleet.servers:
            address = metrics_address_in(server.log.read_text())
            await _many_batches_follow(address)


async def _many_batches_follow(address: str) -> None:
    """Return as soon as they do. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE):
        while True:
            metrics = await asyncio.to_thread(scrape_at, address)
            if metrics.value("featom_pipeline_chained_batches_total") > 10:
                return
            await asyncio.sleep(0.1)
