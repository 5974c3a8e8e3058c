"""The databases that tests get."""

import asyncpg

from tests.kit.postgres import Postgres


async def tables(dsn: str) -> set[str]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    finally:
        await connection.close()
    return {row["tablename"] for row in rows}


async def test_a_database_has_the_schema_and_belongs_to_one_test(
    database: str, postgres: Postgres, migrated_template: str
) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute("CREATE TABLE left_behind ()")
    await connection.close()

    async with postgres.database(migrated_template) as another:
        assert await tables(database) >= {"aggregates", "left_behind"}
        assert "aggregates" in await tables(another)
        assert "left_behind" not in await tables(another)


async def test_a_bare_database_has_no_table(bare_database: str) -> None:
    assert await tables(bare_database) == set()
