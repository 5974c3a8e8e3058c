"""The tables of the article's design, and the statements of who writes them by hand."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

import asyncpg

from benchmarks import dataset

FILE: Final = Path(__file__).with_name("statements.sql")
NAMES: Final = (*dataset.COUNTS, *dataset.AMOUNTS, *dataset.TEXTS, *dataset.TIMES)


@cache
def statements() -> Mapping[str, str]:
    """The SQL by name."""
    _, *parts = FILE.read_text().split("-- name: ")
    return {name: body for name, _, body in (part.partition("\n") for part in parts)}


async def load(dsn: str, aggregates: int) -> None:
    """Make the tables and fill them."""
    sql = statements()
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql["schema"])
        await connection.execute(sql["load"], aggregates, NAMES, timeout=600)
        await connection.execute("VACUUM (ANALYZE)")
    finally:
        await connection.close()
