"""Statements, as a tracer sees them. Without a tracer this is not in their way."""

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import asyncpg

from repository.statements import DURABILITY, READ, RETENTION, SESSION, TYPES, WRITE
from telemetry.tracing import Tracer

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

_NAMES: Final = {
    sql: name
    for named in (READ, WRITE, TYPES, SESSION, DURABILITY, RETENTION)
    for name, sql in named.items()
}


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
