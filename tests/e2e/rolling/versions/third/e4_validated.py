"""Every row is looked at while everybody reads and writes: in a transaction of its own."""

from alembic import op

revision = "e4"
down_revision = "e3"


def upgrade() -> None:
    op.execute("ALTER TABLE aggregates VALIDATE CONSTRAINT has_vector")
