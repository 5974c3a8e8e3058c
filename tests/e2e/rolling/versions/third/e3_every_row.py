"""Nothing is written without a vector any more, and nothing is left without one.

The third build reads vectors alone, so it is not ready until this is done.
"""

revision = "e3"
down_revision = "e2"

AFTER_BACKFILLS = ("vector_of_state",)


def upgrade() -> None:
    from alembic import op

    op.execute(
        "ALTER TABLE aggregates ADD CONSTRAINT has_vector CHECK (vector IS NOT NULL) NOT VALID"
    )
