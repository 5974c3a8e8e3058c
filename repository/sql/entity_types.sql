-- Entity types. Each statement runs at READ COMMITTED.

-- name: ensure_rows
-- Gives every type that is written a row that can be locked; in one order everywhere, as each waits
-- for another session that is about to make the same.
INSERT INTO entity_types (name)
SELECT DISTINCT unnest($1::text[]) AS name
ORDER BY name
ON CONFLICT DO NOTHING;

-- name: read_revisions
-- Reads some revisions, and the epoch in which they are these; one that does not exist does not come
-- back.
SELECT r.name, r.revision, r.definition, e.epoch
FROM unnest($1::text[], $2::bigint[]) AS k (name, revision)
CROSS JOIN store_epoch AS e
JOIN entity_type_revisions AS r ON r.name = k.name AND r.revision = k.revision;

-- name: read_all_types
-- Every definition, and the generation that it is at least as new as.
SELECT t.name, t.revision, t.definition, e.types_generation, e.epoch
FROM store_epoch AS e
LEFT JOIN entity_types AS t ON t.definition IS NOT NULL;

-- name: read_type
SELECT t.revision, t.definition, t.create_time
FROM entity_types AS t
WHERE t.name = $1;

-- name: list_types
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

-- name: lock_types
-- Waits for every writer in flight and lets no new one begin; readers go on. Rows are not enough:
-- writers that share a row's lock can hold it for ever, one after the other, whereas a lock on the
-- table is given in the order in which it was asked for.
LOCK TABLE entity_types IN EXCLUSIVE MODE;

-- name: replace_type
-- Makes a definition the next revision, if the one that was read is still the current one.
UPDATE entity_types AS t
SET revision = $3, definition = $4, create_time = $5, update_time = $6
WHERE t.name = $1 AND t.revision = $2
RETURNING t.revision;

-- name: record_revision
INSERT INTO entity_type_revisions (name, revision, definition, create_time)
VALUES ($1, $2, $3, $4);

-- name: raise_generation
UPDATE store_epoch SET types_generation = types_generation + 1;

-- name: current_time
SELECT clock_timestamp();

-- name: scan_aggregates
-- One page of a type's aggregates, of those written since a time.
SELECT a.entity_id, a.state
FROM aggregates AS a
WHERE a.entity_type = $1 AND a.entity_id > $2 AND a.update_time >= $4
ORDER BY a.entity_id
LIMIT $3;

-- name: count_aggregates
SELECT count(*) FROM aggregates AS a WHERE a.entity_type = $1;

-- name: any_aggregate
SELECT EXISTS (SELECT FROM aggregates AS a WHERE a.entity_type = $1);
