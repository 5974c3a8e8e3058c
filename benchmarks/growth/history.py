"""Loads history: changes as Featom would have recorded them, but made by PostgreSQL."""

from typing import Final

import asyncpg

from benchmarks import dataset

CHANGE_BYTES: Final = 330
"""As large as the change of 5 features."""
STEP: Final = 250_000
TIMEOUT: Final = 600
INSERT: Final = """
INSERT INTO changes (entity_type, entity_id, uid, version, commit_time, batch_id, change)
SELECT
    $1, 'c' || lpad((n * 7919 % $4)::text, 7, '0'),
    lpad(to_hex(n * 7919 % $4), 32, '0')::uuid,
    2 + n / $4, now() - interval '1 second' * random(), gen_random_uuid(),
    decode(repeat(md5(n::text), $5 / 16 + 1), 'hex')
FROM generate_series($2::bigint, $3::bigint - 1) AS n
"""


async def load_changes(dsn: str, have: int, want: int, entities: int) -> None:
    """Record changes of random entities until there are `want`."""
    connection = await asyncpg.connect(dsn)
    try:
        for first in range(have, want, STEP):
            last = min(first + STEP, want)
            arguments = (dataset.ENTITY_TYPE, first, last, entities, CHANGE_BYTES)
            await connection.execute(INSERT, *arguments, timeout=TIMEOUT)
    finally:
        await connection.close()
