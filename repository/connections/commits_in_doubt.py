"""Commits that can be seen and are perhaps lost yet, as all servers know them (ADR 70).

The backend of a lost answer is ended (ADR 15), and that may cut its wait for a synchronous standby
short: then its commit is seen, and no standby has it. So it is announced before, in a row that each
read has anyway, and withdrawn by a commit that is later in the log. While anything is announced, no
answer vouches for what was read before a barrier has passed.
"""

import asyncio
import logging
from contextlib import suppress
from typing import Final

from domain.errors import DatabaseUnavailable
from repository.connections.durability import LOCK_TIMEOUT
from repository.connections.isolation import ReadCommittedPool
from repository.connections.pool import AnswerLost, Connection, TransactionAborted
from repository.sessions.facts import Backend
from repository.statements import DURABILITY

log = logging.getLogger(__name__)

_ENDING_MS: Final = 200
_PATIENCE: Final = 3.0
"""Seconds that an answer waits for a barrier."""


class CommitsInDoubt:
    """What answers may rest on while a commit is in doubt."""

    def __init__(self, pool: ReadCommittedPool) -> None:
        self._pool = pool
        self._running: asyncio.Task[bool] | None = None
        self._next: asyncio.Task[bool] | None = None
        self._clearing: asyncio.Task[None] | None = None
        self._noted: set[asyncio.Task[None]] = set()
        self._is_told = False
        """Whether the log says that no barrier passes."""

    @property
    def generation(self) -> int:
        """To be taken before a read that is to be vouched for: what a server shows says nothing of
        what was read on another one."""
        return self._pool.generation

    async def vouch(self, generation: int) -> None:
        """Return when all that was read since this generation was taken is durable.

        Raises DatabaseUnavailable.
        """
        if await self._pool.read(DURABILITY.query("list_in_doubt")):
            await self.settle(generation)
        elif self.generation != generation:
            raise DatabaseUnavailable("What was read is not known to be durable yet.")

    async def settle(self, generation: int) -> None:
        """Return when all that could be seen since this generation was taken is durable.

        Raises DatabaseUnavailable if that takes long: PostgreSQL waits for a standby; or if the
        server is another one by now.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._round(self._running), name="barrier")
        barrier = self._next
        done, _ = await asyncio.wait({barrier}, timeout=_PATIENCE)
        if not done or not barrier.result() or self.generation != generation:
            raise DatabaseUnavailable("What was read is not known to be durable yet.")

    def note(self, backend: Backend) -> None:
        """A backend gave no answer: tell all servers if it is gone, or is ended now.

        One that waits for a standby is left to itself.
        """
        task = asyncio.create_task(self._end_once(backend), name="noting a doubt")
        self._noted.add(task)
        task.add_done_callback(self._noted.discard)

    async def end(self, backend: Backend) -> bool:
        """Whether a backend is gone, and all that it committed is durable."""
        # What waits for a standby is seen by nobody: ended, it would be.
        waits = await self._pool.read(DURABILITY.query("waits_for_standby"), *backend)
        if waits and waits[0][0]:
            return False
        await self._pool.ensure(DURABILITY.idempotent("announce"), str(backend), LOCK_TIMEOUT)
        ended = await self._pool.ensure(DURABILITY.idempotent("end_backend"), *backend, _ENDING_MS)
        if not all(gone for (gone,) in ended):
            return False
        await self._commit(DURABILITY["withdraw"], str(backend), LOCK_TIMEOUT)
        return True

    async def close(self) -> None:
        """Must be called when the pool is closed. What is under way fails then.

        It is never cancelled: the driver would cut the wait for a standby short, and what is
        withdrawn would be seen as settled.
        """
        own = (self._running, self._next, self._clearing)
        tasks = [*self._noted, *(task for task in own if task is not None)]
        if tasks:
            await asyncio.wait(tasks)

    async def _round(self, previous: "asyncio.Task[bool] | None") -> bool:
        """A barrier for all that ask before it begins; whether it has passed."""
        if previous is not None:
            await asyncio.wait({previous})
        self._running, self._next = self._next, None
        try:
            await self._commit(DURABILITY["barrier"], LOCK_TIMEOUT)
        except Exception as error:
            if not self._is_told:
                self._is_told = True
                cause = error.__cause__ or error
                log.warning("what was read is not known to be durable: %r", cause)
            return False
        if self._is_told:
            self._is_told = False
            log.warning("what was read is known to be durable again")
        if self._clearing is None or self._clearing.done():
            self._clearing = asyncio.create_task(
                self._clear(), name="clearing transactions in doubt"
            )
        return True

    async def _clear(self) -> None:
        """End what servers that are gone have left, and withdraw it."""
        with suppress(DatabaseUnavailable):
            for (name,) in await self._pool.read(DURABILITY.query("list_in_doubt")):
                await self._end_once(Backend.named(name))

    async def _end_once(self, backend: Backend) -> None:
        try:
            await self.end(backend)
        except Exception as error:
            log.info("a commit is in doubt still: %r", error)

    async def _commit(self, statement: str, *arguments: object) -> None:
        async def work(connection: Connection) -> None:
            await connection.fetch(statement, *arguments)

        try:
            await self._pool.commit(work)
        except (AnswerLost, TransactionAborted) as failure:
            raise DatabaseUnavailable from failure
