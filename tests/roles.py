"""The role that servers have in tests: it changes rows, and not the schema."""

from typing import Final
from urllib.parse import urlsplit

import asyncpg

from repository.migrations import migrate

APP_ROLE: Final = "featom_server"


async def make_app_role(dsn: str) -> None:
    """Let the role be there. `dsn` is a superuser's, and its password becomes the role's."""
    connection = await asyncpg.connect(dsn)
    try:
        if not await connection.fetchval("SELECT to_regrole($1)", APP_ROLE):
            password = urlsplit(dsn).password
            secret = f" PASSWORD '{password}'" if password else ""
            await connection.execute(f"CREATE ROLE {APP_ROLE} LOGIN{secret}")
    finally:
        await connection.close()


async def migrate_for_servers(dsn: str) -> None:
    """Bring a database to the newest schema, and let the role of the servers use it."""
    await make_app_role(dsn)
    await migrate(dsn, app_role=APP_ROLE)


def as_app_role(dsn: str) -> str:
    """The same database, as servers connect to it."""
    parts = urlsplit(dsn)
    credentials, at, host = parts.netloc.rpartition("@")
    _, colon, password = credentials.partition(":")
    return parts._replace(netloc=f"{APP_ROLE}{colon}{password}{at}{host}").geturl()
