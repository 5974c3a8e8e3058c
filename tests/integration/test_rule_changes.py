"""Entity types that change while writers run, on two servers over one database."""

import asyncio
import random
from dataclasses import dataclass, field

import asyncpg
import pytest
from msgspec.structs import replace

from codec.historical_state import fold
from domain.entity_key import EntityKey
from domain.entity_type import EntityType
from domain.errors import IncompatibleChange, InvalidValue, RuleViolated
from domain.ports import AtVersion
from featom.v1.aggregate_pb2 import AggregateChange, FeatureAggregate
from repository.entity_types import postgres as postgres_types
from repository.postgres import PostgresRepository
from repository.statements import WRITE
from repository.writing.transaction import Loss
from repository.writing.write_protocol import WriteProtocol
from tests.integration.bounded_types import KEY, NARROW, WIDE, Bounds, apply, servers, update
from tests.kit.fault_injection import session_on, somebody_waits_for_a_lock

__all__ = ["servers"]


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> "Held":
    """Holds every write of the first one to ask, between its evaluation and its transaction."""
    gate = Held()
    write = WriteProtocol._write

    async def held_write(*arguments: object) -> Loss:
        if not gate.reached.is_set():
            gate.reached.set()
            await gate.go_on.wait()
        return await write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(WriteProtocol, "_write", held_write)
    return gate


@dataclass
class Held:
    """A write that was evaluated and is not written yet."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)


@pytest.mark.parametrize("typed", [True, False], ids=["changed", "first"])
async def test_an_update_evaluated_under_the_old_revision_does_not_commit_after_the_new_one(
    servers: list[PostgresRepository], held: Held, typed: bool
) -> None:
    if typed:
        await apply(servers[1], WIDE)
    writing = asyncio.create_task(servers[0].update(update(a=50, b=50)))
    await held.reached.wait()
    await apply(servers[1], NARROW, accept=False)
    held.go_on.set()
    with pytest.raises(RuleViolated):
        await writing
    assert await servers[1].read([KEY]) == [None]


async def test_what_is_refused_or_only_rehearsed_leaves_no_row_of_its_type(
    servers: list[PostgresRepository], database: str
) -> None:
    await servers[0].update(replace(update(a=1), validate_only=True))
    twice = update(a=1)
    twice = replace(twice, updates=twice.updates * 2)
    with pytest.raises(InvalidValue):
        await servers[0].update(twice)
    connection = await asyncpg.connect(database)
    try:
        names = "SELECT name FROM entity_types"
        assert await connection.fetch(names) == []
        await servers[0].update(update(a=1))
        assert [name for (name,) in await connection.fetch(names)] == [KEY.entity_type]
    finally:
        await connection.close()


async def test_without_the_lock_it_would(
    servers: list[PostgresRepository], held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlocked = WRITE["write_batch"].replace("AND t.revision = r.revision\n    FOR SHARE OF t", "")
    assert unlocked != WRITE["write_batch"]
    monkeypatch.setitem(WRITE, "write_batch", unlocked)
    writing = asyncio.create_task(servers[0].update(update(a=50, b=50)))
    await held.reached.wait()
    await apply(servers[1], NARROW, accept=False)
    held.go_on.set()
    assert (await writing).version == 1


async def test_a_change_waits_for_the_writers_in_flight(
    servers: list[PostgresRepository], database: str
) -> None:
    await apply(servers[0], WIDE)
    writer = await asyncpg.connect(database)
    transaction = writer.transaction()
    await transaction.start()
    await writer.execute("SELECT FROM entity_types WHERE name = 'customer' FOR SHARE")
    changing = asyncio.create_task(apply(servers[1], NARROW))
    await somebody_waits_for_a_lock(writer)
    assert not changing.done()
    await transaction.rollback()
    assert await changing == 2
    await writer.close()


async def test_many_changes_that_wait_leave_connections_to_those_who_read(
    servers: list[PostgresRepository], database: str
) -> None:
    """And to lists and reads of the past, and to those who ask for a type."""
    one = servers[0]
    written = await one.update(update(a=5, b=5))
    async with session_on(database) as writer, writer.transaction():
        await writer.execute("SELECT FROM entity_types WHERE name = 'customer' FOR SHARE")
        changing = [asyncio.create_task(apply(one, WIDE)) for _ in range(20)]
        await somebody_waits_for_a_lock(writer)
        async with asyncio.timeout(60):
            assert [each and each.version for each in await one.read([KEY])] == [1]
            assert await one.read_as_of(KEY, AtVersion(written.version)) is not None
            assert (await one.list_aggregates("customer", "", 9, 2**20)).aggregates
            assert (await one.entity_types.current("customer")).revision == 0
        assert not any(each.done() for each in changing)
    assert set(await asyncio.gather(*changing)) == {1}


async def test_an_aggregate_written_while_others_are_counted_is_counted_too(
    servers: list[PostgresRepository], monkeypatch: pytest.MonkeyPatch
) -> None:
    await servers[0].update(update(a=5, b=5))
    store = servers[1].entity_types
    replace = store.replace

    async def replace_after_a_write(*arguments: object) -> EntityType | None:
        await servers[0].update(update(a=50, b=50))
        return await replace(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "replace", replace_after_a_write)
    with pytest.raises(IncompatibleChange) as refused:
        await apply(servers[1], NARROW, accept=False)
    assert refused.value.violating == 1


async def test_from_the_last_count_to_the_change_nobody_writes(
    servers: list[PostgresRepository], monkeypatch: pytest.MonkeyPatch
) -> None:
    await servers[0].update(update(a=5, b=5))
    written = postgres_types._write
    writing: list[asyncio.Task[object]] = []

    async def write_while_another_tries(*arguments: object) -> bool:
        writing.append(asyncio.create_task(servers[0].update(update(a=50, b=50))))
        await asyncio.sleep(0.3)
        return await written(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(postgres_types, "_write", write_while_another_tries)
    await apply(servers[1], NARROW, accept=False)
    with pytest.raises(RuleViolated):
        await writing[0]


@dataclass
class Run:
    """What clients and the changer of revisions saw."""

    revisions: dict[int, Bounds] = field(default_factory=dict)
    """Every definition that was applied, by revision, from before it was."""
    applied: int = 0
    """The revision whose apply has returned."""
    visible: dict[int, set[tuple[str, int]]] = field(default_factory=dict)
    """What was committed when the apply of a revision had returned."""
    accepted: int = 0
    refused: int = 0
    mistakes: list[str] = field(default_factory=list)


async def test_no_version_ever_breaks_the_revision_that_it_was_written_under(
    servers: list[PostgresRepository], database: str
) -> None:
    choices = random.Random(4)
    run = Run()
    connection = await asyncpg.connect(database)
    changer = asyncio.create_task(change_revisions(run, servers, connection, choices))
    clients = [
        asyncio.create_task(write_until(changer, run, servers[n % 2], random.Random(n)))
        for n in range(8)
    ]
    await asyncio.gather(changer, *clients)
    mistakes = [*run.mistakes, *await history_mistakes(run, connection)]
    await connection.close()
    assert mistakes == []
    assert run.accepted > 50
    assert run.refused > 50


async def change_revisions(
    run: Run,
    servers: list[PostgresRepository],
    connection: "asyncpg.Connection[asyncpg.Record]",
    choices: random.Random,
) -> None:
    for revision in range(1, 500):
        low = choices.randint(0, 20)
        run.revisions[revision] = Bounds(low, low + choices.randint(5, 20), choices.randint(-5, 9))
        assert await apply(servers[revision % 2], run.revisions[revision]) == revision
        rows = await connection.fetch("SELECT entity_id, version FROM changes")
        run.visible[revision] = {(entity_id, version) for entity_id, version in rows}
        run.applied = revision
        await asyncio.sleep(0.05)
        if revision >= 24 and run.accepted > 50 and run.refused > 50:
            return


async def write_until(
    done: "asyncio.Task[None]", run: Run, server: PostgresRepository, choices: random.Random
) -> None:
    while not done.done():
        key = EntityKey("customer", f"c-{choices.randrange(4)}")
        a, b = choices.randint(0, 40), choices.randint(0, 40)
        before = run.applied
        try:
            outcome = await server.update(update(key, a=a, b=b))
        except RuleViolated as error:
            run.refused += 1
            named = frozenset(violation.subject for violation in error.violations)
            current = [run.revisions[n] for n in run.revisions if n >= before]
            if named not in [bounds.broken(a, b) for bounds in current]:
                run.mistakes.append(f"refused for {set(named)}: a={a} b={b} under {current}")
        else:
            run.accepted += 1
            revision = FeatureAggregate.FromString(outcome.state or b"").entity_type_revision
            if revision < before:
                run.mistakes.append(f"written under {revision} after {before} was applied")


async def history_mistakes(run: Run, connection: "asyncpg.Connection[asyncpg.Record]") -> list[str]:
    mistakes = []
    states: dict[str, bytes] = {}
    for entity_id, encoded in await connection.fetch(
        "SELECT entity_id, change FROM changes ORDER BY entity_id, version"
    ):
        change = AggregateChange.FromString(encoded)
        states[entity_id] = past = fold(states.get(entity_id, b""), [encoded]).state
        state = FeatureAggregate.FromString(past)
        a, b = (state.features[name].value.int64_value for name in "ab")
        written_under = change.entity_type_revision
        if written_under and (broken := run.revisions[written_under].broken(a, b)):
            mistakes.append(f"{entity_id} at {state.version} breaks {set(broken)}")
        for revision, visible in run.visible.items():
            if written_under < revision and (entity_id, change.version) not in visible:
                mistakes.append(f"{entity_id} at {state.version}: committed after {revision}")
    return mistakes


async def test_the_past_is_served_as_it_was_under_each_of_many_revisions(
    servers: list[PostgresRepository],
) -> None:
    """Also under the oldest, when others were asked for before."""
    server, other = servers
    versions = range(1, 9)
    for version in versions:
        assert await apply(server, Bounds(0, 100 + version, 100)) == version
        await server.update(update(a=version, b=1))
    for version in (*reversed(versions), *versions, 8, 1, 7, 2):
        past = await other.read_as_of(KEY, AtVersion(version))
        assert past is not None
        written = FeatureAggregate.FromString(past.state)
        assert written.entity_type_revision == version
        assert written.features["a"].value.int64_value == version
