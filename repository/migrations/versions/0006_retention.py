"""How long request ids and changes are kept is the store's to say, and no clock's to cut short."""

from typing import Final

revision = "0006"
down_revision = "0005"

# `elapsed` is the time that servers have seen pass, by clocks that nobody sets (observe_retention).
# `look_time` is the database's clock at the last look, `set_elapsed` when the owner last set this.
RETENTION: Final = """
CREATE TABLE retention (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    keep_requests interval NOT NULL CHECK (keep_requests > interval '0'),
    keep_changes interval CHECK (keep_changes > interval '0'),
    elapsed interval NOT NULL DEFAULT '0',
    look_time timestamptz NOT NULL DEFAULT now(),
    set_elapsed interval NOT NULL DEFAULT '0'
)
"""

# The partitions whose time is over: since which `elapsed` every look has found it so, and how many
# rows had been inserted by then. One that gets more rows is not over, whatever the clock says.
PAST_PARTITIONS: Final = """
CREATE TABLE past_partitions (
    name text PRIMARY KEY,
    since interval NOT NULL,
    inserted bigint NOT NULL
)
"""

# A default partition has no time of its own: it is over as long as it has rows.
DATED_PARTITIONS: Final = """
CREATE FUNCTION dated_partitions()
RETURNS TABLE (id oid, name text, parent text, upper_bound timestamptz) LANGUAGE sql STABLE AS $$
    SELECT
        c.oid, c.relname::text, p.relname::text,
        (
            to_date(right(c.relname, 8), 'YYYYMMDD')::timestamp
            + CASE p.relname WHEN 'requests' THEN interval '1 day' ELSE interval '1 month' END
        ) AT TIME ZONE 'UTC'
    FROM pg_inherits AS i
    JOIN pg_class AS c ON c.oid = i.inhrelid
    JOIN pg_class AS p ON p.oid = i.inhparent
    WHERE
        i.inhparent IN ('requests'::regclass, 'changes'::regclass)
        AND c.relname ~ '^(requests|changes)_[0-9]{8}$'
    UNION ALL
    SELECT 'requests_default'::regclass, 'requests_default', 'requests', '-infinity'
    WHERE EXISTS (SELECT FROM requests_default)
    UNION ALL
    SELECT 'changes_default'::regclass, 'changes_default', 'changes', '-infinity'
    WHERE EXISTS (SELECT FROM changes_default)
$$
"""

# A partition that the clock has not passed, or that it has gone back behind, is not over any more.
NOTE_PAST_PARTITIONS: Final = """
CREATE FUNCTION note_past_partitions() RETURNS void LANGUAGE sql AS $$
    DELETE FROM past_partitions AS p
    WHERE p.name NOT IN (SELECT d.name FROM dated_partitions() AS d WHERE d.upper_bound < now());
    INSERT INTO past_partitions AS p (name, since, inserted)
    SELECT d.name, r.elapsed, coalesce(pg_stat_get_tuples_inserted(d.id), 0)
    FROM dated_partitions() AS d
    CROSS JOIN retention AS r
    WHERE d.upper_bound < now()
    ON CONFLICT (name) DO UPDATE SET since = excluded.since, inserted = excluded.inserted
    WHERE p.inserted <> excluded.inserted
$$
"""

# What each server calls now and then: what it promises its callers, the `elapsed` that it was told
# the last time (null: it has just started), and what has passed since by its monotonic clock. Time
# passes only as far as both that clock and the database's say so; what is kept is never shortened.
OBSERVE_RETENTION: Final = """
CREATE FUNCTION observe_retention(promised interval, told interval, passed interval)
RETURNS TABLE (
    kept_requests interval, kept_changes interval, elapsed_now interval,
    requests_before interval, database_time timestamptz
) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    before retention;
BEGIN
    SELECT * INTO STRICT before FROM retention FOR UPDATE;
    database_time := clock_timestamp();
    requests_before := before.keep_requests;
    UPDATE retention AS r
    SET
        keep_requests = greatest(r.keep_requests, least(promised, interval '87600 hours')),
        elapsed = greatest(r.elapsed, least(
            r.elapsed + (database_time - r.look_time), coalesce(told + passed, r.elapsed)
        )),
        look_time = database_time
    RETURNING r.keep_requests, r.keep_changes, r.elapsed
    INTO kept_requests, kept_changes, elapsed_now;
    RETURN NEXT;
END
$$
"""

# A request id goes when its day was over at every look of so long as ids are kept. Changes go when
# the clock says that they are that old, and it has said that their month is over for a day. And
# nothing goes in the first hour of a setting, so that a server that promises more can say so.
PARTITION_STEP: Final = """
CREATE OR REPLACE FUNCTION partition_step(keep_requests interval, keep_changes interval)
RETURNS text LANGUAGE plpgsql SET lock_timeout TO '500ms' AS $$
DECLARE
    missing record;
    setting retention;
    requests_kept interval;
    changes_kept interval;
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

    PERFORM note_past_partitions();
    SELECT * INTO STRICT setting FROM retention;
    IF setting.elapsed - setting.set_elapsed < interval '1 hour' THEN
        RETURN NULL;
    END IF;
    requests_kept := greatest(setting.keep_requests, keep_requests);
    changes_kept := greatest(setting.keep_changes, keep_changes);

    SELECT d.name INTO expired
    FROM dated_partitions() AS d
    JOIN past_partitions AS p ON p.name = d.name
    WHERE
        isfinite(d.upper_bound)
        AND CASE d.parent
            WHEN 'requests' THEN
                d.upper_bound < now() - requests_kept
                AND setting.elapsed - p.since >= requests_kept
            ELSE
                d.upper_bound < now() - changes_kept
                AND setting.elapsed - p.since >= interval '1 day'
        END
    ORDER BY d.upper_bound
    LIMIT 1;
    IF FOUND THEN
        EXECUTE format('DROP TABLE %I', expired);
        RETURN 'dropped ' || expired;
    END IF;

    -- What no partition was ever made for does not go away with one.
    DELETE FROM requests_default WHERE ctid = ANY (ARRAY(
        SELECT r.ctid FROM requests_default AS r
        JOIN past_partitions AS p ON p.name = 'requests_default'
        WHERE
            r.commit_time < now() - requests_kept
            AND setting.elapsed - p.since >= requests_kept
        LIMIT 10000
    ));
    GET DIAGNOSTICS strays = ROW_COUNT;
    IF strays > 0 THEN
        RETURN format('deleted %s rows of requests_default', strays);
    END IF;
    DELETE FROM changes_default WHERE ctid = ANY (ARRAY(
        SELECT c.ctid FROM changes_default AS c
        JOIN past_partitions AS p ON p.name = 'changes_default'
        WHERE
            c.commit_time < now() - changes_kept
            AND setting.elapsed - p.since >= interval '1 day'
        LIMIT 10000
    ));
    GET DIAGNOSTICS strays = ROW_COUNT;
    IF strays > 0 THEN
        RETURN format('deleted %s rows of changes_default', strays);
    END IF;
    RETURN NULL;
END
$$
"""

# Builds before this one say here what they promise, and nowhere else.
ADVANCE_PARTITIONS: Final = """
CREATE OR REPLACE FUNCTION advance_partitions(keep_requests interval)
RETURNS text LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE retention AS r SET keep_requests = least($1, interval '87600 hours')
    WHERE r.keep_requests < least($1, interval '87600 hours');
    SELECT partition_step(NULL, NULL)
$$
"""

# ANALYZE would copy values of features into the planner's statistics, where no deletion finds them.
# To set the same type once more takes away what was copied, without a rewrite. LIKE does not take
# along how much is to be copied.
NO_STATISTICS: Final = """
DO $$
DECLARE
    stored record;
BEGIN
    FOR stored IN
        SELECT a.attrelid::regclass AS name, a.attname
        FROM pg_attribute AS a
        WHERE
            a.attrelid IN ('aggregates'::regclass, 'changes'::regclass, 'requests'::regclass)
            AND a.atttypid = 'bytea'::regtype AND NOT a.attisdropped
    LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I TYPE bytea', stored.name, stored.attname);
        EXECUTE format(
            'ALTER TABLE %s ALTER COLUMN %I SET STATISTICS 0', stored.name, stored.attname
        );
    END LOOP;
END
$$
"""

MAKE_PARTITION: Final = """
CREATE OR REPLACE FUNCTION make_partition(parent text, unit text, starting timestamptz)
RETURNS void LANGUAGE plpgsql SET datestyle TO 'ISO, YMD' SET timezone TO 'UTC' AS $$
DECLARE
    lower_bound timestamp := date_trunc(unit, starting AT TIME ZONE 'UTC');
    upper_bound timestamp := lower_bound + ('1 ' || unit)::interval;
    partition text := parent || '_' || to_char(lower_bound, 'YYYYMMDD');
    stored name;
BEGIN
    IF to_regclass(partition) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', partition, parent);
    FOR stored IN
        SELECT a.attname FROM pg_attribute AS a
        WHERE a.attrelid = partition::regclass AND a.atttypid = 'bytea'::regtype
    LOOP
        EXECUTE format('ALTER TABLE %I ALTER COLUMN %I SET STATISTICS 0', partition, stored);
    END LOOP;
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

# To replace a function takes its search_path from it.
FIXED_SEARCH_PATH: Final = """
DO $$
DECLARE
    signature regprocedure;
BEGIN
    FOREACH signature IN ARRAY ARRAY[
        'dated_partitions()', 'note_past_partitions()',
        'observe_retention(interval, interval, interval)', 'partition_step(interval, interval)',
        'advance_partitions(interval)', 'make_partition(text, text, timestamptz)'
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

    op.execute(RETENTION)
    op.execute("INSERT INTO retention (keep_requests) VALUES (interval '24 hours')")
    op.execute(PAST_PARTITIONS)
    op.execute(DATED_PARTITIONS)
    op.execute(NOTE_PAST_PARTITIONS)
    op.execute(OBSERVE_RETENTION)
    op.execute(PARTITION_STEP)
    op.execute(ADVANCE_PARTITIONS)
    op.execute(MAKE_PARTITION)
    op.execute(NO_STATISTICS)
    # With its type a column gets the storage of that type.
    op.execute("ALTER TABLE aggregates ALTER COLUMN state SET STORAGE EXTERNAL")
    op.execute(FIXED_SEARCH_PATH)
