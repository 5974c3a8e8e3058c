"""What a connection shows and what it commits is durable, and the epoch is that of its timeline.

A crash or a restart of PostgreSQL makes every commit in its log visible, also those that no
synchronous standby has. And a standby that takes over, or a backup that is restored, may lack
commits that somebody has seen: versions, etags and revisions are then given again with other
content. Both break all connections, so each new one asks; the first after a start sees to it.

If somebody cancels the wait of a commit for its standby, PostgreSQL says so in a WARNING, and then
that all went well.
"""

import asyncio
import logging
from collections.abc import Awaitable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

import asyncpg

from repository.statements import DURABILITY
from runtime.supervision import detached

Result = TypeVar("Result")

_WARNING: Final = "WARNING"
_OF_OTHER_THINGS: Final = frozenset({"GetNewTransactionId", "GetNewMultiXactId"})
"""The functions of PostgreSQL that warn, at every transaction, of numbers that run out."""
_PATIENCE: Final = 3.0
"""Seconds for a barrier; without its standby PostgreSQL waits as long as that is away."""
LOCK_TIMEOUT: Final = "2s"
"""For those who find that another barrier waits already."""

log = logging.getLogger(__name__)


class Unconfirmed(ConnectionError):
    """PostgreSQL gave a warning while it worked: perhaps no standby has the commit."""


async def confirmed(connection: Any, work: Awaitable[Result]) -> Result:
    """The result of some work on a connection that commits. Raises Unconfirmed."""
    warnings: list[str] = []

    def note(_: object, message: Any) -> None:
        # The severity in words that are not translated, and who says it.
        if (
            message.severity_en == _WARNING
            and message.server_source_function not in _OF_OTHER_THINGS
        ):
            warnings.append(message.sqlstate)

    connection.add_log_listener(note)
    try:
        result = await work
    finally:
        # The driver refuses the call once it has let go of the connection.
        with suppress(asyncpg.InterfaceError):
            connection.remove_log_listener(note)
    if warnings:
        raise Unconfirmed(f"PostgreSQL warned of {', '.join(warnings)} during a commit")
    return result


class NotDurable(ConnectionError):
    """What the connection shows may be lost yet."""


async def join_timeline(connection: Any) -> None:
    """Let a connection know its epoch. Raises NotDurable, or what PostgreSQL says."""
    epoch, is_settled = await _look_around(connection)
    if not is_settled:
        await _within(_PATIENCE, _settle(connection))
        followed, _ = await _look_around(connection)
        if followed != epoch:
            log.warning("the database is on a new timeline: the epoch is %d now", followed)
        epoch = followed
    connection.epoch = epoch


async def _look_around(connection: Any) -> tuple[int, bool]:
    epoch, is_primary, is_settled = await connection.fetchrow(DURABILITY["look_around"])
    if not is_primary:
        raise NotDurable("this is a standby")
    return epoch, is_settled


async def _settle(connection: Any) -> None:
    try:
        await confirmed(connection, _pass_barrier(connection))
    except asyncpg.LockNotAvailableError as error:
        raise NotDurable("another connection waits for a synchronous standby already") from error
    async with connection.transaction(isolation="read_committed"):
        await connection.execute(DURABILITY["settle"])


async def _pass_barrier(connection: Any) -> None:
    async with connection.transaction(isolation="read_committed"):
        await connection.fetch(DURABILITY["lock_barrier"], LOCK_TIMEOUT)
        await connection.execute(DURABILITY["follow_timeline"])


async def _within(seconds: float, work: Coroutine[Any, Any, None]) -> None:
    """Wait for some work, and leave it to itself if it takes longer.

    To cancel it would make the driver cut the wait for the standby short.
    """
    try:
        async with asyncio.timeout(seconds):
            await detached(work)
    except TimeoutError as error:
        raise NotDurable("PostgreSQL waits for a synchronous standby") from error
