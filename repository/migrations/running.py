"""Running one migration by Alembic.

Alembic and SQLAlchemy take a third of a second to import: this module is imported only where a
migration is run.
"""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import StaticPool

from repository.migrations.revisions import LOCATIONS
from repository.sessions.facts import Session


async def run(session: Session, revision: str) -> None:
    """Apply the next migration of a branch. Raises the errors of asyncpg."""
    try:
        async with _connection_on(session) as connection:
            await connection.run_sync(_upgrade_to, revision)
    except DBAPIError as error:
        # SQLAlchemy puts the driver's error into one of its dialect's, and that into its own.
        cause = error.orig.__cause__ if error.orig else None
        raise cause or asyncpg.InterfaceError(str(error.orig)) from error


def sql_between(before: str, revision: str) -> str:
    """What running it would execute on a database that is at the revision before."""
    made = config()
    made.output_buffer = output = io.StringIO()
    command.upgrade(made, f"{before}:{revision}", sql=True)
    return output.getvalue().strip()


def config(**attributes: Any) -> Config:
    """For Alembic; `attributes` are for env.py."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent))
    made.set_main_option("version_locations", "\n".join(map(str, LOCATIONS)))
    made.set_main_option("path_separator", "newline")
    made.attributes.update(attributes)
    return made


def _upgrade_to(connection: Connection, revision: str) -> None:
    command.upgrade(config(connection=connection), revision)


@asynccontextmanager
async def _connection_on(session: Session) -> AsyncIterator[AsyncConnection]:
    """The session as Alembic knows it. The lock and the work share it: they are lost together."""

    async def the_session() -> Session:
        return session

    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=the_session, poolclass=StaticPool
    )
    async with engine.connect() as connection:
        yield connection
