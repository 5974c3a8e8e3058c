"""Partitions are maintained by a role that may not change the schema, a step at a time."""

from typing import Final

revision = "0004"
down_revision = "0003"

PARTITION_NAME: Final = """
CREATE FUNCTION partition_name(parent text, unit text, starting timestamptz)
RETURNS text LANGUAGE sql STABLE AS $$
    SELECT parent || '_' || to_char(date_trunc(unit, starting AT TIME ZONE 'UTC'), 'YYYYMMDD')
$$
"""

# To attach a partition locks the default one, to drop one locks the whole table: for a moment, but
# everybody waits behind whoever waits for such a lock. So a step does one thing in a transaction of
# its own, gives up soon, and is taken again later.
PARTITION_STEP: Final = """
CREATE FUNCTION partition_step(keep_requests interval, keep_changes interval)
RETURNS text LANGUAGE plpgsql SET lock_timeout TO '500ms' AS $$
DECLARE
    missing record;
    expired text;
    strays bigint;
BEGIN
    -- One session at a time; to the others it looks as if nothing were left to do.
    IF NOT pg_try_advisory_xact_lock(7305411223042) THEN
        RETURN NULL;
    END IF;

    SELECT wanted.* INTO missing
    FROM (
        SELECT 'changes' AS parent, 'month' AS unit, now() + make_interval(months => n) AS starting
        FROM generate_series(0, 2) AS n
        UNION ALL
        SELECT 'requests', 'day', now() + make_interval(days => n)
        FROM generate_series(0, 7) AS n
    ) AS wanted
    WHERE to_regclass(partition_name(wanted.parent, wanted.unit, wanted.starting)) IS NULL
    ORDER BY wanted.starting
    LIMIT 1;
    IF FOUND THEN
        PERFORM make_partition(missing.parent, missing.unit, missing.starting);
        RETURN 'made ' || partition_name(missing.parent, missing.unit, missing.starting);
    END IF;

    SELECT c.oid::regclass::text INTO expired
    FROM pg_inherits AS i
    JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE
        (
            i.inhparent = 'requests'::regclass
            AND c.relname ~ '^requests_[0-9]{8}$'
            AND to_date(right(c.relname, 8), 'YYYYMMDD')::timestamp + interval '1 day'
                < (now() - keep_requests) AT TIME ZONE 'UTC'
        ) OR (
            i.inhparent = 'changes'::regclass
            AND c.relname ~ '^changes_[0-9]{8}$'
            AND to_date(right(c.relname, 8), 'YYYYMMDD')::timestamp + interval '1 month'
                < (now() - keep_changes) AT TIME ZONE 'UTC'
        )
    LIMIT 1;
    IF FOUND THEN
        EXECUTE format('DROP TABLE %s', expired);
        RETURN 'dropped ' || expired;
    END IF;

    -- What no partition was ever made for does not go away with one.
    DELETE FROM requests_default WHERE ctid = ANY (ARRAY(
        SELECT r.ctid FROM requests_default AS r
        WHERE r.commit_time < now() - keep_requests LIMIT 10000
    ));
    GET DIAGNOSTICS strays = ROW_COUNT;
    IF strays > 0 THEN
        RETURN format('deleted %s rows of requests_default', strays);
    END IF;
    DELETE FROM changes_default WHERE ctid = ANY (ARRAY(
        SELECT c.ctid FROM changes_default AS c
        WHERE c.commit_time < now() - keep_changes LIMIT 10000
    ));
    GET DIAGNOSTICS strays = ROW_COUNT;
    IF strays > 0 THEN
        RETURN format('deleted %s rows of changes_default', strays);
    END IF;
    RETURN NULL;
END
$$
"""

# The one thing that a server does with the rights of the owner. It cannot touch the history.
ADVANCE_PARTITIONS: Final = """
CREATE FUNCTION advance_partitions(keep_requests interval)
RETURNS text LANGUAGE sql SECURITY DEFINER AS $$
    SELECT partition_step(keep_requests, NULL)
$$
"""

# For operators, and for the build before this one. In one transaction, as it has always been.
MAINTAIN_PARTITIONS: Final = """
CREATE OR REPLACE FUNCTION maintain_partitions(
    keep_requests interval, keep_changes interval DEFAULT NULL
)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    WHILE partition_step(keep_requests, keep_changes) IS NOT NULL LOOP
    END LOOP;
END
$$
"""

# Whoever can make objects in another schema must not be able to put them in the way of these.
FIXED_SEARCH_PATH: Final = """
DO $$
DECLARE
    signature regprocedure;
BEGIN
    FOREACH signature IN ARRAY ARRAY[
        'make_partition(text, text, timestamptz)', 'partition_name(text, text, timestamptz)',
        'partition_step(interval, interval)', 'advance_partitions(interval)',
        'maintain_partitions(interval, interval)'
    ]::regprocedure[] LOOP
        EXECUTE format(
            'ALTER FUNCTION %s SET search_path TO %I, pg_temp', signature, current_schema()
        );
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', signature);
    END LOOP;
END
$$
"""


def upgrade() -> None:
    from alembic import op

    op.execute(PARTITION_NAME)
    op.execute(PARTITION_STEP)
    op.execute(ADVANCE_PARTITIONS)
    op.execute(MAINTAIN_PARTITIONS)
    op.execute(FIXED_SEARCH_PATH)
