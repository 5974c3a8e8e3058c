"""The schema: how rows are stored, and what of them stays or goes."""

import asyncio

import pytest

from domain.entity_key import EntityKey
from domain.ports import AtVersion
from domain.update import Deletion
from featom.v1.aggregate_pb2 import FeatureAggregate
from repository.migrations import up
from repository.migrations.running import run
from tests.kit.fault_injection import Session, repository_on, session_on
from tests.kit.reading import message_of
from tests.kit.samples import add, put, update


async def test_states_are_stored_as_they_are_served(session: Session) -> None:
    assert (
        await session.fetchval(
            "SELECT attstorage FROM pg_attribute"
            " WHERE attrelid = 'aggregates'::regclass AND attname = 'state'"
        )
        == b"e"
    )


async def test_a_store_that_is_upgraded_keeps_its_epoch_and_so_its_etags(
    bare_database: str,
) -> None:
    async with session_on(bare_database) as session:
        for revision in ("0001", "0002", "0003", "0004"):
            await run(session, revision)
        await session.execute("UPDATE store_epoch SET epoch = 5")
        await session.execute(
            "INSERT INTO aggregates VALUES ('card', 'c-1', gen_random_uuid(), 7, '', now(), now())"
        )
    await up(bare_database)
    async with repository_on(bare_database) as repository:
        (found,) = await repository.read([EntityKey("card", "c-1")])
        assert found is not None
        assert (found.epoch, found.version) == (5, 7)


async def test_a_page_of_aggregates_has_room_for_their_next_versions(session: Session) -> None:
    options = await session.fetchval(
        "SELECT reloptions FROM pg_class WHERE oid = 'aggregates'::regclass"
    )
    assert options == ["fillfactor=70"]


async def test_ids_are_compared_by_code_point(session: Session) -> None:
    rows = await session.fetch(
        "SELECT attrelid::regclass::text, attname, attcollation::regcollation::text"
        " FROM pg_attribute WHERE attname IN ('entity_type', 'entity_id')"
        " AND attrelid IN ('aggregates'::regclass, 'changes'::regclass, 'requests'::regclass)"
    )
    assert len(rows) == 6
    assert {row[2] for row in rows} == {'"C"'}


@pytest.mark.parametrize("table", ["aggregates", "changes", "requests"])
async def test_every_unique_key_holds_the_entity(session: Session, table: str) -> None:
    """So that the tables can be distributed by it."""
    rows = await session.fetch(
        "SELECT array_agg(a.attname::text) FROM pg_index AS i"
        " JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)"
        " WHERE i.indrelid = $1::text::regclass AND i.indisunique GROUP BY i.indexrelid",
        table,
    )
    assert rows
    assert all({"entity_type", "entity_id"} <= set(row[0]) for row in rows)


async def test_the_history_holds_the_whole_state_every_so_many_versions(
    shared_database: str, session: Session, key: EntityKey
) -> None:
    """So that no past version is further away than that."""
    async with repository_on(shared_database) as repository:
        await asyncio.gather(*(repository.update(update(add("f", 1), key=key)) for _ in range(200)))
        rows = await session.fetch(
            "SELECT version, state FROM changes"
            " WHERE entity_type = $1 AND state IS NOT NULL ORDER BY version",
            key.entity_type,
        )
        assert [row["version"] for row in rows] == [64, 128, 192]
        for version, state in rows:
            past = await repository.read_as_of(key, AtVersion(version))
            assert past is not None
            assert message_of(past) == FeatureAggregate.FromString(state)


async def test_of_an_erased_history_no_value_is_left(
    shared_database: str, session: Session, key: EntityKey
) -> None:
    kept = key._replace(entity_id="c-2")
    async with repository_on(shared_database) as repository:
        for each in (key, kept):
            updates = (
                update(put("f", f"secret {number}"), put("late", "secret", 9 - number), key=each)
                for number in range(70)
            )
            await asyncio.gather(*map(repository.update, updates))
            await repository.delete(Deletion(key=each, erase_history=each is key))
        assert await holding_secrets(session, kept) == 70
        assert await holding_secrets(session, key) == 0
        (deletion,) = await session.fetch(
            "SELECT version, state FROM changes WHERE entity_type = $1 AND entity_id = $2", *key
        )
        assert tuple(deletion) == (71, None)


async def holding_secrets(session: Session, key: EntityKey) -> int:
    """How many rows about an entity hold one of its values."""
    secret = "position('secret'::bytea in {}) > 0"
    count: int = await session.fetchval(
        "SELECT (SELECT count(*) FROM changes WHERE entity_type = $1 AND entity_id = $2"
        f" AND ({secret.format('change')} OR {secret.format('state')}))"
        " + (SELECT count(*) FROM aggregates WHERE entity_type = $1 AND entity_id = $2)",
        *key,
    )
    return count
