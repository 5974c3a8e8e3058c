"""Functions write times as texts, and read them, in one way for all callers."""

from typing import Final

revision = "0008"
down_revision = "0007"

# The bounds of partitions are texts in DDL. With another DateStyle a text has the abbreviation of a
# time zone, which may be another one's too: the bounds move by hours.
FIXED_TEXTS: Final = """
DO $$
DECLARE
    signature regprocedure;
BEGIN
    FOR signature IN
        SELECT p.oid FROM pg_proc AS p
        WHERE p.pronamespace = current_schema()::regnamespace
            AND p.proname IN (
                'make_partition', 'partition_name', 'partition_step', 'advance_partitions',
                'maintain_partitions'
            )
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET datestyle TO ''ISO, MDY''', signature);
        EXECUTE format('ALTER FUNCTION %s SET intervalstyle TO postgres', signature);
        EXECUTE format('ALTER FUNCTION %s SET timezone TO ''UTC''', signature);
    END LOOP;
END
$$
"""


def upgrade() -> None:
    from alembic import op

    op.execute(FIXED_TEXTS)
