"""The fourth build does not write the old column, so nobody may still read it."""

from tests.e2e.rolling.product import THIRD

revision = "e5"
down_revision = "e4"

OLDEST_BUILD = THIRD


def upgrade() -> None:
    from alembic import op

    op.execute("ALTER TABLE aggregates ALTER COLUMN state DROP NOT NULL")
