"""A column for the state under its new name."""

from repository.migrations.backfill import Backfill
from tests.e2e.rolling.product import SECOND, newest

revision = "e1"
down_revision = newest("expand")

BACKFILLS = (
    Backfill(
        name="vector_of_state",
        table="aggregates",
        key={"entity_type": "text", "entity_id": "text"},
        set="vector = t.state",
        # Also what the first build wrote after the second.
        where="t.vector IS DISTINCT FROM t.state",
        oldest_build=SECOND,
    ),
)


def upgrade() -> None:
    from alembic import op

    op.execute("ALTER TABLE aggregates ADD COLUMN vector bytea")
    op.execute("ALTER TABLE aggregates ALTER COLUMN vector SET STORAGE EXTERNAL")
