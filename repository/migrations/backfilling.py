"""Running backfills: page by page, each a transaction that also says how far it is."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import asyncpg

from repository.credentials import Password
from repository.migrations.backfill import Backfill
from repository.migrations.lock_waits import holder_of, trying
from repository.migrations.revisions import backfills
from repository.migrations.session import (
    BACKFILLING,
    Patience,
    connected_builds,
    keep_out_before,
    session_on,
    try_lock,
)
from repository.sessions.facts import Session

_TRYING_SECONDS: Final = 60.0


class BackfillHeldUp(Exception):
    """A backfill cannot begin now; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """How fast to go."""

    page_rows: int = 500
    """Rows in a transaction: writers of these rows wait, or try again, for so long."""
    rows_a_second: float = 0.0
    """At most, on average; 0: as fast as it goes."""


class Progress(NamedTuple):
    """How far a backfill is."""

    name: str
    rows_seen: int
    rows_written: int
    rows: int
    """How many there are, by PostgreSQL's estimate; below 0 if it has none."""
    complete: bool


Report: TypeAlias = Callable[[Progress], None]


def _tell_nobody(progress: Progress) -> None:
    pass


async def backfill(
    dsn: str,
    password: Password | None = None,
    throttle: Throttle | None = None,
    report: Report = _tell_nobody,
    patience: Patience | None = None,
) -> None:
    """As backfill_on, in a session of its own. Raises MigrationFailed too."""
    async with session_on(dsn, password, patience) as session:
        await backfill_on(session, throttle, report)


async def backfill_on(
    session: Session, throttle: Throttle | None = None, report: Report = _tell_nobody
) -> None:
    """Run every backfill of this build that is not complete, from where it was left.

    `report` is called after each page. Raises BackfillHeldUp.
    """
    if not await try_lock(session, BACKFILLING):
        raise BackfillHeldUp(f"another process is at it: {await holder_of(session, BACKFILLING)}")
    for each in backfills():
        if each.name not in await complete_backfills(session):
            await _begin(session, each)
            await _run(session, each, throttle or Throttle(), report)


async def progress_of(session: Session, backfill: Backfill) -> Progress:
    """How far a backfill is."""
    rows = await session.fetchval(
        "SELECT reltuples::bigint FROM pg_class WHERE oid = $1::text::regclass", backfill.table
    )
    found = await session.fetchrow(
        "SELECT rows_seen, rows_written, complete_time IS NOT NULL AS complete"
        " FROM backfills WHERE name = $1",
        backfill.name,
    )
    if found is None:
        return Progress(backfill.name, 0, 0, rows, False)
    return Progress(
        backfill.name, found["rows_seen"], found["rows_written"], rows, found["complete"]
    )


async def complete_backfills(session: Session) -> frozenset[str]:
    """The names of those that are."""
    if await session.fetchval("SELECT to_regclass('backfills')") is None:
        return frozenset()
    found = await session.fetch("SELECT name FROM backfills WHERE complete_time IS NOT NULL")
    return frozenset(row["name"] for row in found)


async def register_as_complete(session: Session, empty: Iterable[Backfill]) -> None:
    """A new database has no old rows."""
    await session.executemany(
        "INSERT INTO backfills (name, complete_time) VALUES ($1, now()) ON CONFLICT DO NOTHING",
        [(backfill.name,) for backfill in empty],
    )


async def _begin(session: Session, backfill: Backfill) -> None:
    """From now on no server may write rows that would need it again."""
    await _check_builds(session, backfill)
    await keep_out_before(session, backfill.oldest_build)
    # One may have come in between, and then writes on for as long as its connections last.
    await _check_builds(session, backfill)
    await session.execute(
        "INSERT INTO backfills (name) VALUES ($1) ON CONFLICT DO NOTHING", backfill.name
    )


async def _check_builds(session: Session, backfill: Backfill) -> None:
    older = [each for each in await connected_builds(session) if each < backfill.oldest_build]
    if older:
        raise BackfillHeldUp(
            f"{backfill.name} needs build {backfill.oldest_build} or later everywhere,"
            f" and {len(older)} servers of build {older[0]} or later are connected"
        )


async def _run(session: Session, backfill: Backfill, throttle: Throttle, report: Report) -> None:
    complete = False
    while not complete:
        begun = time.monotonic()

        async def page() -> tuple[int, bool]:
            async with session.transaction():
                return await _page(session, backfill, throttle.page_rows)

        seen, complete = await trying(
            session, f"the backfill {backfill.name}", page, _TRYING_SECONDS
        )
        report(await progress_of(session, backfill))
        if throttle.rows_a_second and not complete:
            await asyncio.sleep(max(0.0, begun + seen / throttle.rows_a_second - time.monotonic()))


async def _page(session: Session, backfill: Backfill, rows: int) -> tuple[int, bool]:
    """Do one page; returns how many rows it had, and whether it was the last."""
    position: list[str] = await session.fetchval(
        "SELECT position FROM backfills WHERE name = $1 FOR UPDATE", backfill.name
    )
    statement = backfill.next_page if position else backfill.first_page
    page: asyncpg.Record | None = await session.fetchrow(statement, *position, rows)
    assert page is not None
    complete = page["seen"] < rows
    await session.execute(
        "UPDATE backfills SET position = coalesce($2, position), rows_seen = rows_seen + $3,"
        " rows_written = rows_written + $4, update_time = now(),"
        " complete_time = CASE WHEN $5 THEN now() END"
        " WHERE name = $1",
        backfill.name,
        page["last"],
        page["seen"],
        page["written"],
        complete,
    )
    return page["seen"], complete
