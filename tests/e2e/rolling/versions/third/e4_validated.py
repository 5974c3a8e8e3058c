"""Every row is looked at while everybody reads and writes: in a transaction of its own."""

revision = "e4"
down_revision = "e3"


def upgrade() -> None:
    from alembic import op

    op.execute("ALTER TABLE aggregates VALIDATE CONSTRAINT has_vector")
