"""What migrations make, what is committed of it, and what the SQL of the repository expects."""

import asyncio
from collections.abc import Iterator
from importlib import resources
from uuid import uuid4

import asyncpg
import pytest

from repository.migrations.grants import OF_THE_OWNER, TABLES
from repository.statements import WRITE, Statements
from repository.writing.columns import write_arguments
from tests.integration.schema_snapshot import SNAPSHOT, snapshot_of
from tests.kit.fault_injection import Session


def statements() -> Iterator[tuple[str, str]]:
    """Every statement of the repository, whichever file it stands in."""
    for file in sorted((resources.files("repository") / "sql").iterdir(), key=lambda it: it.name):
        yield from Statements(file.name).items()


async def test_the_migrations_make_the_schema_that_is_committed(shared_database: str) -> None:
    made = await asyncio.to_thread(snapshot_of, shared_database)
    assert made == SNAPSHOT.read_text(), "`make schema` writes it anew"


async def test_every_statement_fits_the_schema(session: Session) -> None:
    misfits = {}
    for name, sql in statements():
        try:
            await session.prepare(sql)
        except asyncpg.PostgresError as error:
            misfits[name] = str(error)
    assert misfits == {}


async def test_a_statement_that_does_not_fit_is_found(session: Session) -> None:
    with pytest.raises(asyncpg.UndefinedColumnError):
        await session.prepare(WRITE["write_batch"].replace("r.state", "r.stat"))


async def test_a_batch_has_as_many_columns_as_the_statement_that_writes_it(
    session: Session,
) -> None:
    wanted = (await session.prepare(WRITE["write_batch"])).get_parameters()

    assert len(await write_arguments([], uuid4())) == len(wanted)


async def test_of_every_table_it_is_said_what_servers_may_do_with_it(session: Session) -> None:
    rows = await session.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
        " AND relkind IN ('r', 'p') AND NOT relispartition"
    )
    assert {row["relname"] for row in rows} == TABLES.keys() | OF_THE_OWNER
