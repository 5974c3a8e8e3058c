"""Aggregates, their changes, the request ids already answered, and the epoch of the store."""

from typing import Final

revision = "0001"
down_revision = None
branch_labels = ("expand",)

# Ids are compared and listed by code point, on every server: so "C".
AGGREGATES: Final = """
CREATE TABLE aggregates (
    entity_type text COLLATE "C" NOT NULL,
    entity_id text COLLATE "C" NOT NULL,
    uid uuid NOT NULL,
    version bigint NOT NULL,
    state bytea NOT NULL,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    PRIMARY KEY (entity_type, entity_id)
) WITH (fillfactor = 70)
"""

CHANGES: Final = """
CREATE TABLE changes (
    entity_type text COLLATE "C" NOT NULL,
    entity_id text COLLATE "C" NOT NULL,
    uid uuid NOT NULL,
    version bigint NOT NULL,
    commit_time timestamptz NOT NULL,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    batch_id uuid NOT NULL,
    request_id uuid,
    change bytea NOT NULL,
    state bytea,
    PRIMARY KEY (entity_type, entity_id, uid, version, commit_time)
) PARTITION BY RANGE (commit_time)
"""

# A request about several entities is known under each of them; the first one has the outcome.
REQUESTS: Final = """
CREATE TABLE requests (
    entity_type text COLLATE "C" NOT NULL,
    entity_id text COLLATE "C" NOT NULL,
    request_id uuid NOT NULL,
    commit_time timestamptz NOT NULL,
    fingerprint bytea NOT NULL,
    outcome bytea,
    PRIMARY KEY (entity_type, entity_id, request_id, commit_time)
) PARTITION BY RANGE (commit_time)
"""

# An operator raises the epoch after restoring a backup, so that older etags are refused.
EPOCH: Final = """
CREATE TABLE store_epoch (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch integer NOT NULL CHECK (epoch > 0)
)
"""

# Partitions are made ahead, and attached rather than created in place: that does not lock out
# writers. A row for which none was made goes to the default partition, so writing never stops; a
# partition that is made later takes it over.
MAKE_PARTITION: Final = """
CREATE FUNCTION make_partition(parent text, unit text, starting timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    lower_bound timestamp := date_trunc(unit, starting AT TIME ZONE 'UTC');
    upper_bound timestamp := lower_bound + ('1 ' || unit)::interval;
    partition text := parent || '_' || to_char(lower_bound, 'YYYYMMDD');
BEGIN
    IF to_regclass(partition) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', partition, parent);
    EXECUTE format('LOCK TABLE %I IN SHARE ROW EXCLUSIVE MODE', parent || '_default');
    EXECUTE format(
        'WITH early AS (DELETE FROM %I WHERE commit_time >= %L AND commit_time < %L RETURNING *)'
        ' INSERT INTO %I SELECT * FROM early',
        parent || '_default', lower_bound AT TIME ZONE 'UTC', upper_bound AT TIME ZONE 'UTC',
        partition
    );
    EXECUTE format(
        'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        parent, partition, lower_bound AT TIME ZONE 'UTC', upper_bound AT TIME ZONE 'UTC'
    );
END
$$
"""

MAINTAIN_PARTITIONS: Final = """
CREATE FUNCTION maintain_partitions(keep_requests interval, keep_changes interval DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    expired regclass;
BEGIN
    PERFORM make_partition('changes', 'month', now() + make_interval(months => n))
    FROM generate_series(0, 2) AS n;
    PERFORM make_partition('requests', 'day', now() + make_interval(days => n))
    FROM generate_series(0, 7) AS n;
    FOR expired IN
        SELECT c.oid
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
    LOOP
        EXECUTE format('DROP TABLE %s', expired);
    END LOOP;
END
$$
"""


def upgrade() -> None:
    from alembic import op

    op.execute(AGGREGATES)
    # Out of line only what does not fit, and never compressed: it is served as it is.
    op.execute("ALTER TABLE aggregates ALTER COLUMN state SET STORAGE EXTERNAL")
    op.execute(CHANGES)
    op.execute(REQUESTS)
    op.execute("CREATE TABLE changes_default PARTITION OF changes DEFAULT")
    op.execute("CREATE TABLE requests_default PARTITION OF requests DEFAULT")
    op.execute(EPOCH)
    op.execute("INSERT INTO store_epoch (epoch) VALUES (1)")
    op.execute(MAKE_PARTITION)
    op.execute(MAINTAIN_PARTITIONS)
    op.execute("SELECT maintain_partitions(keep_requests => interval '1 day')")
