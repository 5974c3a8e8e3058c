"""The old column goes. What was looked at is not looked at again, so the lock is short."""

from tests.e2e.rolling.product import FOURTH, newest

revision = "c1"
down_revision = newest("contract")
branch_labels = None if down_revision else ("contract",)

OLDEST_BUILD = FOURTH


def upgrade() -> None:
    from alembic import op

    op.execute("ALTER TABLE aggregates ALTER COLUMN vector SET NOT NULL")
    op.execute("ALTER TABLE aggregates DROP CONSTRAINT has_vector")
    op.execute("ALTER TABLE aggregates DROP COLUMN state")
