-- Entity types. Each statement runs at READ COMMITTED.

-- idempotent: ensure_rows
-- Gives every type that is written a row that can be locked; in one order everywhere, as each waits
-- for another session that is about to make the same. What is there is left alone: an insert would
-- wait for the change of a type that is about to be committed.
INSERT INTO entity_types (name)
SELECT DISTINCT n.name
FROM unnest($1::text[]) AS n (name)
WHERE NOT EXISTS (SELECT FROM entity_types AS t WHERE t.name = n.name)
ORDER BY n.name
ON CONFLICT DO NOTHING;

-- query: read_revisions
-- Reads some revisions, and the epoch in which they are these; one that does not exist does not come
-- back.
SELECT r.name, r.revision, r.definition, e.epoch
FROM unnest($1::text[], $2::bigint[]) AS k (name, revision)
CROSS JOIN store_epoch AS e
JOIN entity_type_revisions AS r ON r.name = k.name AND r.revision = k.revision;

-- query: revision_at
-- Which revision of a type was in force at a time of the database's clock; none if there was none yet.
SELECT r.revision
FROM entity_type_revisions AS r
WHERE r.name = $1 AND r.create_time <= $2
ORDER BY r.revision DESC
LIMIT 1;

-- query: read_all_types
-- Every definition, and the generation that it is at least as new as.
SELECT t.name, t.revision, t.definition, e.types_generation, e.epoch
FROM store_epoch AS e
LEFT JOIN entity_types AS t ON t.definition IS NOT NULL;

-- query: read_type
SELECT t.revision, t.definition, t.create_time
FROM entity_types AS t
WHERE t.name = $1;

-- query: list_types
-- Reads one page, in the order of the names: at most so many, and at most so many bytes unless it is
-- one alone.
SELECT p.definition, p.more
FROM (
    SELECT
        t.name,
        t.definition,
        row_number() OVER page = 1 OR sum(octet_length(t.definition)) OVER page <= $3 AS fits,
        lead(true, 1, false) OVER page AS more
    FROM entity_types AS t
    WHERE t.name > $1 AND t.definition IS NOT NULL
    WINDOW page AS (ORDER BY t.name ROWS UNBOUNDED PRECEDING)
    ORDER BY t.name
    LIMIT $2
) AS p
WHERE p.fits
ORDER BY p.name;

-- once: lock_type
-- Waits, but not long, for the writers of one type that are in flight, and lets no new one begin;
-- readers and the writers of other types go on. The row's lock is not enough: writers share it, and
-- can hold it without end, one after the other. They try for this one, and do not get it while a
-- change waits (see write_batch). A server that stops in the middle loses both after $3.
SELECT
    set_config('lock_timeout', $2, true),
    set_config('idle_in_transaction_session_timeout', $3, true),
    pg_advisory_xact_lock(hashtextextended($1, 7305411223044));

-- once: lock_row
-- Waits for writers of a build that knows this lock alone.
SELECT t.revision
FROM entity_types AS t
WHERE t.name = $1
FOR UPDATE;

-- once: replace_type
-- Makes a definition the next revision, if the one that was read is still the current one.
UPDATE entity_types AS t
SET revision = $3, definition = $4, create_time = $5, update_time = $6
WHERE t.name = $1 AND t.revision = $2
RETURNING t.revision;

-- once: record_revision
INSERT INTO entity_type_revisions (name, revision, definition, create_time)
VALUES ($1, $2, $3, $4);

-- once: raise_generation
UPDATE store_epoch SET types_generation = types_generation + 1;

-- query: current_time
SELECT clock_timestamp();

-- query: mark
-- The timeline of the log, the number from which on no transaction is committed, and the smaller
-- ones that are under way.
SELECT
    CASE
        WHEN pg_is_in_recovery() THEN 'standby' -- where no change is written in any case
        ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8)
    END AS timeline,
    pg_snapshot_xmax(pg_current_snapshot())::text AS next_transaction,
    ARRAY(SELECT x.xid::text FROM pg_snapshot_xip(pg_current_snapshot()) AS x (xid)) AS under_way;

-- query: written_since
-- Reads which aggregates of a type some transactions have changed: those from $2 to before $3, page
-- by page in their order, whole ones; and those of $4, which began before.
SELECT w.xid::text, w.entity_id, w.began_before
FROM (
    (
        SELECT c.xid, c.entity_id, false AS began_before
        FROM changes AS c
        WHERE
            c.entity_type = $1
            AND c.xid >= $2::text::xid8 AND c.xid < $3::text::xid8
        ORDER BY c.xid
        FETCH FIRST ($5) ROWS WITH TIES
    )
    UNION ALL
    (
        SELECT c.xid, c.entity_id, true AS began_before
        FROM changes AS c
        WHERE c.entity_type = $1 AND c.xid = ANY ($4::text[]::xid8[])
    )
) AS w;

-- query: scan_written
-- Reads some aggregates of a type, as scan_aggregates reads all.
SELECT p.entity_id, p.state, p.more
FROM (
    SELECT
        a.entity_id, a.state,
        row_number() OVER page = 1 OR sum(octet_length(a.state)) OVER page <= $4 AS fits,
        lead(true, 1, false) OVER page AS more
    FROM unnest($2::text[]) AS k (entity_id)
    JOIN aggregates AS a ON a.entity_type = $1 AND a.entity_id = k.entity_id
    WHERE a.entity_id > $3
    WINDOW page AS (ORDER BY a.entity_id ROWS UNBOUNDED PRECEDING)
) AS p
WHERE p.fits
ORDER BY p.entity_id;

-- query: scan_aggregates
-- Reads one page of a type's aggregates, in the order of their ids: at most so many, and at most so
-- many bytes unless it is one alone.
SELECT p.entity_id, p.state, p.more
FROM (
    SELECT
        a.entity_id, a.state,
        row_number() OVER page = 1 OR sum(octet_length(a.state)) OVER page <= $4 AS fits,
        lead(true, 1, false) OVER page AS more
    FROM aggregates AS a
    WHERE a.entity_type = $1 AND a.entity_id > $2
    WINDOW page AS (ORDER BY a.entity_id ROWS UNBOUNDED PRECEDING)
    ORDER BY a.entity_id
    LIMIT $3
) AS p
WHERE p.fits
ORDER BY p.entity_id;

-- query: count_aggregates
-- How many aggregates a type has, if it is no more than $2.
SELECT count(*)
FROM (
    SELECT FROM aggregates AS a WHERE a.entity_type = $1 ORDER BY a.entity_id LIMIT $2
) AS counted;

-- query: estimate_aggregates
-- What PostgreSQL takes their number for.
EXPLAIN (FORMAT JSON) SELECT FROM aggregates AS a WHERE a.entity_type = $1;

-- query: any_aggregate
-- The order is that of the index: what PostgreSQL believes of a type may be long untrue, and writers
-- wait meanwhile.
SELECT count(*) > 0
FROM (SELECT FROM aggregates AS a WHERE a.entity_type = $1 ORDER BY a.entity_id LIMIT 1) AS found;
