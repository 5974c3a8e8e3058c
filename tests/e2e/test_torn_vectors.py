"""No reader ever sees a part of an update, through two servers on one database."""

import sys

from tests.consistency.torn_vectors import Count, count_torn_vectors
from tests.kit.program import FEATOM
from tests.kit.server_process import running_servers

BROKEN = (sys.executable, "-m", "tests.consistency.broken_server")


async def test_no_vector_of_20000_is_torn_while_16_clients_write(database: str) -> None:
    count = await counted(database, FEATOM, reads=20_000)
    assert count.single + count.batched >= 20_000
    assert min(count.single, count.batched, count.writes) > 500
    assert count.torn == 0


async def test_vectors_are_torn_when_each_feature_is_a_statement_of_its_own(database: str) -> None:
    count = await counted(database, BROKEN, reads=300)
    assert count.torn > 0


async def counted(database: str, command: tuple[str, ...], reads: int) -> Count:
    async with running_servers(2, database, command) as servers:
        return await count_torn_vectors([server.address for server in servers], reads)
