"""What answers rest on: commits that are visible and perhaps not durable, and the timeline."""

from typing import Final

revision = "0005"
down_revision = "0004"

# The backends that may have committed what is not durable: from before one is ended until it is.
# NULL if there is none. In the row that each read has anyway, so that looking costs nothing.
COMMITS_IN_DOUBT: Final = "ALTER TABLE store_epoch ADD COLUMN commits_in_doubt text[]"

# Unlogged on purpose: a crash empties it, and a standby has none of it.
DURABLE_SINCE: Final = """
CREATE UNLOGGED TABLE durable_since (
    postmaster_start timestamptz PRIMARY KEY
)
"""

# A promotion or a recovery to a point in time begins a timeline; a dump is restored into another
# cluster, another database, or new tables.
CURRENT_TIMELINE: Final = """
CREATE FUNCTION current_timeline()
RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN NOT pg_is_in_recovery() THEN
        concat_ws(
            '/',
            (SELECT c.system_identifier FROM pg_control_system() AS c),
            left(pg_walfile_name(pg_current_wal_lsn()), 8),
            (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()),
            'aggregates'::regclass::oid
        )
    END
$$
"""

# Not by one: two standbys that know nothing of each other would both raise it to the same. The
# first server that ever comes adopts the epoch that it finds.
FOLLOW_TIMELINE: Final = """
CREATE FUNCTION follow_timeline()
RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE store_epoch
    SET
        epoch = CASE
            WHEN timeline IS NULL THEN epoch
            ELSE greatest(
                epoch + 1,
                extract(epoch FROM clock_timestamp() - timestamptz '2026-01-01 00:00:00Z')::integer
            )
        END,
        timeline = current_timeline()
    WHERE timeline IS DISTINCT FROM current_timeline()
$$
"""

FIXED_SEARCH_PATH: Final = """
DO $$
DECLARE
    signature regprocedure;
BEGIN
    FOREACH signature IN ARRAY ARRAY['current_timeline()', 'follow_timeline()']::regprocedure[] LOOP
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

    op.execute(COMMITS_IN_DOUBT)
    op.execute(DURABLE_SINCE)
    op.execute("ALTER TABLE store_epoch ADD COLUMN timeline text")
    op.execute(CURRENT_TIMELINE)
    op.execute(FOLLOW_TIMELINE)
    op.execute(FIXED_SEARCH_PATH)
