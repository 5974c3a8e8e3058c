"""The fourth build does not write the old column, so nobody may still read it."""

from alembic import op

from tests.e2e.rolling.product import THIRD

revision = "e5"
down_revision = "e4"

OLDEST_BUILD = THIRD


def upgrade() -> None:
    op.execute("ALTER TABLE aggregates ALTER COLUMN state DROP NOT NULL")
