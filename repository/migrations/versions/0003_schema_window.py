"""Which builds may serve this schema, and how far each backfill is."""

from typing import Final

revision = "0003"
down_revision = "0002"

# A contract migration, and a backfill when it begins, raises it: older builds are then not ready.
SCHEMA_WINDOW: Final = """
CREATE TABLE schema_window (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    oldest_build integer NOT NULL CHECK (oldest_build > 0)
)
"""

# `position` is the key of the last row that was seen, its columns as text.
PROGRESS: Final = """
CREATE TABLE backfills (
    name text PRIMARY KEY,
    position text [] NOT NULL DEFAULT '{}',
    rows_seen bigint NOT NULL DEFAULT 0,
    rows_written bigint NOT NULL DEFAULT 0,
    begin_time timestamptz NOT NULL DEFAULT now(),
    update_time timestamptz NOT NULL DEFAULT now(),
    complete_time timestamptz
)
"""


def upgrade() -> None:
    from alembic import op

    op.execute(SCHEMA_WINDOW)
    op.execute("INSERT INTO schema_window (oldest_build) VALUES (1)")
    op.execute(PROGRESS)
