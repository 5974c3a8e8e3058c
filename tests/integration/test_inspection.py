"""What those who look after a database are told of it."""

from datetime import UTC, datetime

import asyncpg

from repository.inspection import inspect
from tests.kit.roles import as_app_role


async def test_the_role_of_servers_may_look(database: str) -> None:
    found = await inspect(as_app_role(database))
    assert (found.facts.encoding, found.facts.in_recovery) == ("UTF8", False)
    assert found.bytes > 0
    assert abs((found.clock - datetime.now(UTC)).total_seconds()) < 3_600
    changes, requests = found.partitions
    assert (changes.parent, requests.parent) == ("changes", "requests")
    for each in found.partitions:
        assert each.partitions > 0
        assert each.newest is not None
        assert each.newest > found.clock.date()
        assert each.default_bytes == 0


async def test_rows_without_a_partition_of_their_own_are_seen(database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(
            "INSERT INTO requests (entity_type, entity_id, request_id, commit_time, fingerprint)"
            " VALUES ('card', '4711', gen_random_uuid(), now() + interval '10 years', '')"
        )
    finally:
        await connection.close()
    _, requests = (await inspect(database)).partitions
    assert requests.default_bytes > 0


async def test_without_a_schema_there_are_no_partitions(bare_database: str) -> None:
    assert (await inspect(bare_database)).partitions == ()
