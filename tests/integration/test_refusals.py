"""What PostgreSQL refuses is told at once and by its name, and costs no connection."""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import grpc
import pytest

from domain.entity_key import EntityKey
from domain.errors import DatabaseUnavailable
from featom.v1.aggregate_pb2 import EntityKey as Key
from featom.v1.feature_store_pb2 import (
    FeatureUpdate,
    GetAggregateRequest,
    UpdateFeaturesRequest,
)
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from featom.v1.value_pb2 import FeatureValue
from repository.dsn.connector import Connector
from repository.postgres import PostgresOptions, PostgresRepository
from tests.kit.fault_injection import Session, repository_on, session_on
from tests.kit.held_writes import nothing_is_written
from tests.kit.refusal import Refusal, refusal
from tests.kit.roles import APP_ROLE, as_app_role
from tests.kit.samples import put, update
from tests.kit.serving import serving
from tests.kit.waiting import eventually, eventually_true

if TYPE_CHECKING:
    from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceAsyncStub

SESSIONS = "SELECT sessions FROM pg_stat_database WHERE datname = current_database()"
FENCED = "25006"
READ_ONLY = "ALTER SYSTEM {} default_transaction_read_only"

PROVOKED = {
    "25006": (f"{READ_ONLY.format('SET')} = on", READ_ONLY.format("RESET")),
    "42501": (
        f"REVOKE INSERT ON changes FROM {APP_ROLE}",
        f"GRANT INSERT ON changes TO {APP_ROLE}",
    ),
    "42P01": ("ALTER TABLE changes RENAME TO hidden", "ALTER TABLE hidden RENAME TO changes"),
    "42703": (
        "ALTER TABLE changes RENAME batch_id TO hidden",
        "ALTER TABLE changes RENAME hidden TO batch_id",
    ),
}


@asynccontextmanager
async def refused(session: Session, sqlstate: str) -> AsyncIterator[None]:
    """Writes are refused with a SQLSTATE, and nothing else is."""
    provoke, undo = PROVOKED[sqlstate]
    await session.execute("SET default_transaction_read_only = off")
    await session.execute(provoke)
    await session.execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        await session.execute(undo)
        await session.execute("SELECT pg_reload_conf()")


def key_of(entity: str) -> Key:
    return Key(entity_type="refused", entity_id=entity)


async def write(store: "FeatureStoreServiceAsyncStub", entity: str) -> int:
    """The version that an update made."""
    value = FeatureValue(int64_value=time.monotonic_ns())
    updates = [FeatureUpdate(name="n", set=value)]
    request = UpdateFeaturesRequest(key=key_of(entity), updates=updates)
    return (await store.UpdateFeatures(request, timeout=60)).version


async def refused_write(store: "FeatureStoreServiceAsyncStub", entity: str) -> Refusal:
    """How an update is refused; it must be, soon."""
    latest = time.monotonic() + 30
    while True:  # a configuration that was reloaded reaches sessions a little later
        try:
            await write(store, entity)
        except grpc.aio.AioRpcError:
            return await refusal(write(store, entity))
        assert time.monotonic() < latest


async def works(store: "FeatureStoreServiceAsyncStub") -> bool:
    try:
        await write(store, "a")
    except grpc.aio.AioRpcError:
        return False
    return True


@pytest.mark.parametrize("sqlstate", PROVOKED)
async def test_a_refusal_is_told_by_name_and_costs_no_connection_and_few_lines_of_log(
    database: str, sqlstate: str
) -> None:
    with serving(database) as server:
        async with (
            grpc.aio.insecure_channel(server.address) as channel,
            session_on(database) as session,
        ):
            store = FeatureStoreServiceStub(channel)
            assert await write(store, "a") == 1
            async with refused(session, sqlstate):
                told = [await refused_write(store, "a")]
                before = await session.fetchval(SESSIONS)
                for _ in range(20):
                    told += await asyncio.gather(*(refused_write(store, name) for name in "abc"))
                after = await session.fetchval(SESSIONS)
                # What was written before is served meanwhile, but by a primary that is fenced.
                read = store.GetAggregate(GetAggregateRequest(key=key_of("a")))
                if sqlstate == FENCED:
                    told.append(await refusal(read))
                else:
                    await read
            for each in told:
                assert each.told == (grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")
                assert each.metadata == {"sqlstate": sqlstate}
                assert sqlstate in each.message
                assert each.retry_after == 1
            # A session is counted when it ends, at the latest; some of the first may come late.
            assert after - before <= PostgresOptions().connections
            await _until_it_works(store)
            await eventually(lambda: "the database works again" in server.log)
            lines = server.log.splitlines()
            begun, over = (line for line in lines if "connections.outage: " in line)
            assert f"SQLSTATE {sqlstate}" in begun
            assert f"failures by SQLSTATE: {sqlstate} " in over


async def _until_it_works(store: "FeatureStoreServiceAsyncStub") -> None:
    latest = time.monotonic() + 30
    worked_since = None
    # An outage is over when nothing has failed for a second.
    while worked_since is None or time.monotonic() - worked_since < 1.2:
        if not await works(store):
            worked_since = None
        elif worked_since is None:
            worked_since = time.monotonic()
        assert time.monotonic() < latest
        await asyncio.sleep(0.05)


@pytest.fixture
def tiny_disk() -> Iterator[Path]:
    """A disk of 4 MB."""
    with TemporaryDirectory(prefix="featom-disk-") as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=True)
        try:
            Path(folder).chmod(0o755)
            (Path(folder) / "changes").mkdir()
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.needs("mount")
async def test_a_full_disk_is_told_at_once_and_room_on_it_is_used(
    database: str, tiny_disk: Path
) -> None:
    async with session_on(database) as session:
        folder = tiny_disk / "changes"
        owner = await asyncio.to_thread(os.stat, await session.fetchval("SHOW data_directory"))
        os.chown(folder, owner.st_uid, owner.st_gid)
        name = "tiny"
        await session.execute(f"CREATE TABLESPACE {name} LOCATION '{folder}'")
        try:
            partitions = await session.fetch(
                "SELECT inhrelid::regclass::text FROM pg_inherits"
                " WHERE inhparent = 'changes'::regclass"
            )
            for (partition,) in partitions:
                await session.execute(f"ALTER TABLE {partition} SET TABLESPACE {name}")
            await _fill(database, tiny_disk)
        finally:
            for (partition,) in partitions:
                await session.execute(f"ALTER TABLE {partition} SET TABLESPACE pg_default")
            await session.execute(f"DROP TABLESPACE {name}")


async def _fill(database: str, disk: Path) -> None:
    async with repository_on(database) as repository:
        key = EntityKey("full", "a")
        ballast = disk / "ballast"
        await asyncio.to_thread(ballast.write_bytes, bytes(shutil.disk_usage(disk).free))
        # An update of which nothing is known is looked for until its deadline.
        begun = asyncio.get_running_loop().time()
        with pytest.raises(DatabaseUnavailable, match="disk is full") as full:
            await repository.update(update(put("f", 1), key=key), begun + 60)
        assert full.value.sqlstate == "53100"
        assert asyncio.get_running_loop().time() < begun + 30
        await asyncio.to_thread(ballast.unlink)
        assert (await repository.update(update(put("f", 1), key=key))).version == 1


async def test_a_write_that_waits_too_long_for_a_lock_is_told_when_its_time_is_up(
    database: str,
) -> None:
    options = PostgresOptions(statement_timeout=0.5)
    async with repository_on(database, options) as repository:
        key = EntityKey("locked", "a")
        await repository.update(update(put("f", 1), key=key))
        async with nothing_is_written(database):
            with pytest.raises(DatabaseUnavailable) as slow:
                await repository.update(update(put("f", 2), key=key))
            assert slow.value.sqlstate == "57014"
        assert (await repository.update(update(put("f", 3), key=key))).version == 2


async def _reads_nothing(repository: PostgresRepository, key: EntityKey) -> bool:
    with suppress(DatabaseUnavailable):
        return await repository.read([key]) == [None]
    return False


async def test_a_database_that_lets_nobody_in_is_asked_a_few_times_a_second_at_most(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    connect = Connector.connect

    async def counted(self: Connector, *arguments: object) -> object:
        asked.append(time.monotonic())
        return await connect(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Connector, "connect", counted)
    key = EntityKey("closed", "a")
    async with session_on(database) as session:
        await session.execute(f"ALTER ROLE {APP_ROLE} CONNECTION LIMIT 0")
        try:
            async with repository_on(as_app_role(database)) as repository:
                begun, told = time.monotonic(), 0
                while time.monotonic() - begun < 3 or told <= 100:
                    answers = await asyncio.gather(
                        *(repository.read([key]) for _ in range(8)),
                        *(repository.update(update(put("f", 1), key=key)) for _ in range(8)),
                        return_exceptions=True,
                    )
                    for answer in answers:
                        assert isinstance(answer, DatabaseUnavailable)
                        assert answer.sqlstate == "53300"
                    told += len(answers)
                    await asyncio.sleep(0.01)
                # A pause is never shorter than half of the longest but for the first three, and as
                # many as there are connections may ask before the first is refused.
                seconds = time.monotonic() - begun
                assert len(asked) <= PostgresOptions().reading_connections + 5 + 2 * seconds
                await session.execute(f"ALTER ROLE {APP_ROLE} CONNECTION LIMIT -1")
                await eventually_true(lambda: _reads_nothing(repository, key))
        finally:
            await session.execute(f"ALTER ROLE {APP_ROLE} CONNECTION LIMIT -1")
