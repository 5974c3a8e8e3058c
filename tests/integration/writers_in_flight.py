"""Writers of a type that have not committed yet, while that is about to be changed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import uuid4

import pytest

from codec.state import dump_aggregate, new_aggregate
from domain.entity_key import EntityKey
from repository.entity_types import postgres as postgres_types
from tests.integration.bounded_types import update
from tests.kit.fault_injection import Session, session_on
from tests.kit.samples import NOW, UID

CARD: Final = EntityKey("card", "k-1")
NEW_WRITER: Final = "SELECT pg_try_advisory_xact_lock_shared(hashtextextended($1, 7305411223044))"
OLD_WRITER: Final = "SELECT true FROM entity_types WHERE name = $1 FOR SHARE"
"""One of a build that knew only the lock on the row."""

builds = pytest.mark.parametrize("lock", [NEW_WRITER, OLD_WRITER], ids=["new", "old"])


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that waits for writers as long as the test needs."""
    monkeypatch.setattr(postgres_types, "_WAIT_FOR_WRITERS", "8s")


@asynccontextmanager
async def writer_in_flight(dsn: str, lock: str, name: str = "customer") -> AsyncIterator[Session]:
    """A transaction that holds what a writer of a type holds; it is committed at the end."""
    async with session_on(dsn) as session, session.transaction():
        assert await session.fetchval(lock, name)
        yield session


async def write_raw(session: Session, key: EntityKey, **values: int) -> None:
    """What a writer writes, at a commit time that is long past."""
    subject = new_aggregate(key, UID, 1)
    subject.apply(update(key, **values), NOW)
    await session.execute(
        "INSERT INTO aggregates VALUES ($1, $2, $3, 1, $4, now(), now())",
        *key,
        UID,
        dump_aggregate(subject),
    )
    await session.execute(
        "INSERT INTO changes (entity_type, entity_id, uid, version, commit_time, batch_id, change)"
        " VALUES ($1, $2, $3, 1, now() - interval '1 hour', $4, '')",
        *key,
        UID,
        uuid4(),
    )
