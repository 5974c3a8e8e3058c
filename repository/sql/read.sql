-- Reads of committed state, each one statement at READ COMMITTED: one snapshot.

-- name: read_aggregates
-- Reads the aggregates of some keys, as columns: an array of each field, side by side, and null if
-- there is no aggregate. One row is less work for the driver than one for each aggregate, and so is
-- one text for each array: the keys come a line each, as no name of an entity has a line break.
-- `read_time` is told after the snapshot was taken, by the clock that updates go by: what a ttl has
-- ended by then is not served.
SELECT
    e.epoch, e.types_generation, clock_timestamp() AS read_time,
    found.ordinals, found.uids, found.versions, found.states
FROM store_epoch AS e
CROSS JOIN (
    SELECT
        array_agg(k.ordinal) AS ordinals,
        array_agg(a.uid) AS uids,
        array_agg(a.version) AS versions,
        array_agg(a.state) AS states
    FROM unnest(string_to_array($1::text, chr(10)), string_to_array($2::text, chr(10)))
        WITH ORDINALITY AS k (entity_type, entity_id, ordinal)
    JOIN aggregates AS a
        ON a.entity_type = k.entity_type AND a.entity_id = k.entity_id
) AS found;

-- name: list_aggregates
-- Reads one page of an entity type, in the order of the ids: at most so many, and at most so many
-- bytes unless it is one alone. The length of a state is known without reading it.
SELECT
    p.entity_id, p.uid, e.epoch, p.version, p.state, e.types_generation, p.more,
    clock_timestamp() AS read_time
FROM (
    SELECT
        a.entity_id,
        a.uid,
        a.version,
        a.state,
        row_number() OVER page = 1 OR sum(octet_length(a.state)) OVER page <= $4 AS fits,
        lead(true, 1, false) OVER page AS more
    FROM aggregates AS a
    WHERE a.entity_type = $1 AND a.entity_id > $2
    WINDOW page AS (ORDER BY a.entity_id ROWS UNBOUNDED PRECEDING)
    ORDER BY a.entity_id
    LIMIT $3
) AS p
CROSS JOIN store_epoch AS e
WHERE p.fits
ORDER BY p.entity_id;

-- name: read_keyframe
-- The newest whole state at or before a version, to fold later changes into.
SELECT c.version, c.state
FROM changes AS c
WHERE
    c.entity_type = $1 AND c.entity_id = $2 AND c.uid = $3 AND c.version <= $4
    AND c.state IS NOT NULL
ORDER BY c.version DESC
LIMIT 1;

-- name: read_changes
-- The changes of one incarnation after one version and up to another, oldest first.
SELECT c.version, c.change
FROM changes AS c
WHERE
    c.entity_type = $1 AND c.entity_id = $2 AND c.uid = $3
    AND c.version > $4 AND c.version <= $5
ORDER BY c.version, c.commit_time;

-- name: version_at
-- The newest version of one incarnation at a time of the database's clock.
SELECT max(c.version)
FROM changes AS c
WHERE
    c.entity_type = $1 AND c.entity_id = $2 AND c.uid = $3 AND c.commit_time <= $4;

-- name: current_incarnation
SELECT a.uid, e.epoch, a.version, a.state
FROM aggregates AS a
CROSS JOIN store_epoch AS e
WHERE a.entity_type = $1 AND a.entity_id = $2;
