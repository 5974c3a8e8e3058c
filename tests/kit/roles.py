"""The roles that connect in tests; the one of servers changes rows, and not the schema."""

from typing import Final
from urllib.parse import urlsplit

import asyncpg

from repository.migrations import migrate

APP_ROLE: Final = "featom_server"


async def make_role(dsn: str, role: str) -> None:
    """Let a role be there. `dsn` is a superuser's, and its password becomes the role's."""
    connection = await asyncpg.connect(dsn)
    try:
        if not await connection.fetchval("SELECT to_regrole($1)", role):
            password = urlsplit(dsn).password
            secret = f" PASSWORD '{password}'" if password else ""
            await connection.execute(f"CREATE ROLE {role} LOGIN{secret}")
    finally:
        await connection.close()


async def migrate_for_servers(dsn: str) -> None:
    """Bring a database to the newest schema, and let the role of the servers use it."""
    await make_role(dsn, APP_ROLE)
    await migrate(dsn, app_role=APP_ROLE)


def as_app_role(dsn: str) -> str:
    """The same database, as servers connect to it."""
    return as_role(dsn, APP_ROLE)


def as_role(dsn: str, role: str) -> str:
    """The same database and password, as another role."""
    parts = urlsplit(dsn)
    credentials, at, host = parts.netloc.rpartition("@")
    _, colon, password = credentials.partition(":")
    return parts._replace(netloc=f"{role}{colon}{password}{at}{host}").geturl()
