"""The one server that all connections must be on.

Clients find the primary by an address, which can lead to another server from one moment to the
next; connections that are open stay where they are. So each new connection tells which server it
has found. If that is another one than before, all open connections are given up: none of their
answers counts any more, though their server may still think that it is the primary.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from repository.connections.outage import Outage
from repository.sessions.facts import Facts, Server
from repository.sessions.refusals import FormerPrimary, described

log = logging.getLogger(__name__)

_POOLER_SEEN: Final = 15.0
"""Seconds for which it is believed that a pooler does not share connections."""


class Primary:
    """Remembers the server, and gives up connections when it is another one."""

    def __init__(self) -> None:
        self.generation = 0
        """Connections of an earlier one are given up."""
        self.is_suspected = False
        """Set when a new connection should show soon whether the server is still the same."""
        self.disk_is_full = False
        """Whether PostgreSQL has said so, and nobody has seen otherwise since."""
        self.crash_unsafe: frozenset[str] | None = None
        """Settings that were off when they were last seen, see CRASH_SAFETY; None before that."""
        self.outage = Outage()
        """Of all who are on it."""
        self._server: Server | None = None
        self._timelines: dict[int, int] = {}
        """The newest of each cluster."""
        self._expire: list[Callable[[], Awaitable[None]]] = []
        self._pooler_is_well_until = 0.0
        self._told = ""

    def on_change(self, expire: Callable[[], Awaitable[None]]) -> None:
        """Have `expire` awaited when open connections are to be used no more."""
        self._expire.append(expire)

    async def admit(self, facts: Facts) -> bool:
        """Take note of the server of a new connection, and say whether others were given up for it.

        Raises FormerPrimary.
        """
        server, before = facts.server, self._server
        newest = self._timelines.get(server.system_identifier, 0)
        if server.timeline < newest:
            raise FormerPrimary(server.timeline, newest)
        self._timelines[server.system_identifier] = server.timeline
        self._server = server
        self._told = ""
        self._see_crash_safety(facts)
        if before in (None, server):
            return False
        restarted = before is not None and before._replace(started=server.started) == server
        what = "the database was restarted" if restarted else "the primary is another server now"
        log.warning("%s: %s", what, facts.address)
        await self._give_up()
        return True

    def _see_crash_safety(self, facts: Facts) -> None:
        unsafe = frozenset(facts.crash_unsafe)
        if unsafe - (self.crash_unsafe or frozenset()):
            log.warning(
                "%s off at %s: a crash of its machine loses or damages what was acknowledged",
                " and ".join(sorted(unsafe)),
                facts.address,
            )
        elif self.crash_unsafe and not unsafe:
            log.warning("the database is safe from crashes again: %s", facts.address)
        self.crash_unsafe = unsafe

    async def refuse(self, refusal: Exception, address: str) -> None:
        """Log why a new connection is refused, once a cause, and give up those that are open.

        They are where the address does not lead any more, or no better.
        """
        told = described(refusal, address)
        if told == self._told:
            return
        self._told = told
        log.warning("a connection is refused: %s", told)
        # This one is where the address should not lead any more.
        if not isinstance(refusal, FormerPrimary):
            await self._give_up()

    async def suspect(self, reason: str) -> None:
        """A connection is not what it was when it was set up: neither may the others be."""
        log.info("all connections to the database are made anew: %s", reason)
        self.is_suspected = True
        await self._give_up()

    async def _give_up(self) -> None:
        """Nothing counts any more that open connections say."""
        self.generation += 1
        self._pooler_is_well_until = 0.0
        for expire in self._expire:
            await expire()

    @property
    def pooler_was_seen_lately(self) -> bool:
        """Whether a pooler has shown lately that it does not share connections."""
        return asyncio.get_running_loop().time() < self._pooler_is_well_until

    def see_pooler(self) -> None:
        """It has shown that just now."""
        self._pooler_is_well_until = asyncio.get_running_loop().time() + _POOLER_SEEN
