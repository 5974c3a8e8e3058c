"""Setting up a connection: two statements, and nothing else may use it before.

The first asks which server is at the other end. If that may be used, the second sets what our work
rests on, and reads it back.

A pooler may share its connections to PostgreSQL between ours. In session mode a connection keeps
its backend for as long as it lasts. In transaction and statement mode each statement gets a backend
that is free: of two connections, the second gets the one that the first had a moment ago; or, if
others were faster, the first gets another one next time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, TypeAlias

import asyncpg

from repository.sessions.facts import PREPARED_ELSEWHERE, Facts, Session, describe
from repository.sessions.refusals import (
    OnStandby,
    ReadOnly,
    SettingNotInForce,
    SharedConnection,
    TablesScattered,
    VersionTooOld,
    WrongEncoding,
)
from repository.sessions.settings import Settings, to_be_set
from repository.statements import SESSION

OLDEST_VERSION: Final = 150_000
READ_ONLY: Final = "25006"
"""What PostgreSQL would say of the first write."""

_POOLER_ROUNDS: Final = 4
_POOLER_PATIENCE: Final = 2.0

Connect: TypeAlias = Callable[[], Awaitable[Session]]
"""Opens one more connection to the same address."""


async def set_up(session: Session, wanted: Settings, another: Connect | None) -> Facts:
    """Find out whether a new connection may be used, and prepare it.

    With `another` a pooler is made to show whether it shares connections; without it, somebody else
    has looked lately. Raises SessionRefused, and what the network or PostgreSQL says; the
    connection is closed then.
    """
    try:
        facts = await describe(session)
        check(facts)
        if another is not None and is_behind_a_pooler(session, facts):
            await _require_its_own(session, another)
        await _apply(session, to_be_set(wanted, facts), facts)
    except BaseException:
        # Or the driver takes leave of a database that may be gone, and waits for the answer.
        terminate(session)
        raise
    return facts


def check(facts: Facts) -> None:
    """Raises SessionRefused for the first thing that is wrong."""
    if facts.version < OLDEST_VERSION:
        raise VersionTooOld(
            f"PostgreSQL {facts.version // 10_000} is too old:"
            f" it must be {OLDEST_VERSION // 10_000} or later"
        )
    if facts.encoding != "UTF8":
        raise WrongEncoding(f"The encoding of the database is {facts.encoding}: it must be UTF8")
    if facts.in_recovery:
        raise OnStandby
    if facts.read_only:
        raise ReadOnly(sqlstate=READ_ONLY)
    if len(facts.schemas) > 1:
        raise TablesScattered(facts.schemas)


def is_behind_a_pooler(session: Session, facts: Facts) -> bool:
    """PostgreSQL names its process when a connection begins; a pooler has to invent a number."""
    return session.get_server_pid() != facts.backend.pid


def terminate(connection: Any) -> None:
    """Let go of a connection, and wait for nothing."""
    # The driver has let go of a connection that it found broken, and then refuses the call.
    with suppress(asyncpg.InterfaceError):
        connection.terminate()


async def _require_its_own(session: Session, another: Connect) -> None:
    other = await another()
    try:
        if await _share_backends(session, other):
            raise SharedConnection
    finally:
        terminate(other)


async def _share_backends(one: Session, other: Session) -> bool:
    """Whether two open connections, which nobody else uses now, are served by the same backends."""
    seen: tuple[set[int], set[int]] = (set(), set())
    try:
        async with asyncio.timeout(_POOLER_PATIENCE):
            for _ in range(_POOLER_ROUNDS):
                for session, pids in zip((one, other), seen, strict=True):
                    pids.add(await session.fetchval(SESSION["own_pid"]))
    except PREPARED_ELSEWHERE:
        return True
    except TimeoutError:
        # A connection that must wait for a backend has none in common with one that has its own.
        return False
    return not seen[0].isdisjoint(seen[1]) or any(len(pids) > 1 for pids in seen)


async def _apply(session: Session, settings: Settings, facts: Facts) -> None:
    try:
        records = await session.fetch(SESSION["apply"], [*settings], [*settings.values()])
    except PREPARED_ELSEWHERE as error:
        raise SharedConnection(sqlstate=error.sqlstate) from error
    for name, in_force, pid in records:
        if pid != facts.backend.pid:
            raise SharedConnection
        if in_force != settings[name]:
            raise SettingNotInForce(
                f"The setting {name} is {in_force!r} and not {settings[name]!r}"
            )
