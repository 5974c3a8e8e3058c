"""Connections as a server keeps them: set up, on the primary, with a backend that is known, and
traced."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import asyncpg

from repository.connections.durability import join_timeline
from repository.connections.primary import Primary
from repository.dsn.connector import Connector
from repository.migrations.session import require_current
from repository.sessions.facts import Backend, Facts
from repository.sessions.refusals import SessionRefused
from repository.sessions.setting_up import Connect, is_behind_a_pooler, set_up, terminate
from repository.sessions.settings import Settings
from repository.statements import ALL
from telemetry.tracing import Tracer


class KnownConnection(asyncpg.Connection):  # generic for the type checker alone
    """A connection of which it is known what is at its other end."""

    facts: Facts
    generation: int
    """Of Primary, when it was made."""
    epoch: int
    """That of the store since the connection is there; see durability."""

    @property
    def backend(self) -> Backend:
        return self.facts.backend


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What every new connection passes before it is used."""

    primary: Primary
    build: int
    settings: Settings
    connector: Connector
    another: Connect
    joins_timeline: bool = True
    """Whether what is read on the connection is answered with."""

    async def __call__(self, connection: Any) -> None:
        """Raises SessionRefused, or SchemaMismatch if the build is too old: then it is closed."""
        # What happens while it is set up concerns it too.
        generation = self.primary.generation
        try:
            facts = await self._set_up(connection)
            if await self.primary.admit(facts):
                generation = self.primary.generation
            # A backfill may have begun while we were not seen: no write of ours may follow it.
            await require_current(connection, self.build)
            if self.joins_timeline:
                await join_timeline(connection)
        except SessionRefused as refusal:
            terminate(connection)
            await self.primary.refuse(refusal, self.connector.host)
            raise
        except BaseException:
            terminate(connection)
            raise
        connection.facts = facts
        connection.generation = generation

    async def _set_up(self, connection: Any) -> Facts:
        if self.primary.pooler_was_seen_lately:
            return await set_up(connection, self.settings, None)
        facts = await set_up(connection, self.settings, self.another)
        if is_behind_a_pooler(connection, facts):
            self.primary.see_pooler()
        return facts


async def leave_as_it_is(connection: object) -> None:
    """What is set holds as long as the connection, so there is nothing to reset: a round trip
    saved."""


if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

_NAMES: Final = {sql: name for statements in ALL for name, sql in statements.items()}


def traced_connections(kind: type[Connection], tracer: Tracer) -> type[Connection]:
    """Connections of a kind that record each statement, by its name in `sql/`."""

    class TracedConnection(kind):  # type: ignore[valid-type, misc]
        __slots__ = ()

        async def execute(self, query: str, *args: Any, **options: Any) -> Any:
            with tracer.statement(name_of(query)):
                return await super().execute(query, *args, **options)

        async def fetch(self, query: str, *args: Any, **options: Any) -> Any:
            with tracer.statement(name_of(query)):
                return await super().fetch(query, *args, **options)

        async def fetchrow(self, query: str, *args: Any, **options: Any) -> Any:
            with tracer.statement(name_of(query)):
                return await super().fetchrow(query, *args, **options)

        async def fetchval(self, query: str, *args: Any, **options: Any) -> Any:
            with tracer.statement(name_of(query)):
                return await super().fetchval(query, *args, **options)

    return TracedConnection


def name_of(query: str) -> str:
    """The name that a statement has in `sql/`, or its first word, such as COMMIT."""
    return _NAMES.get(query) or query.split(maxsplit=1)[0].rstrip(";").upper()
