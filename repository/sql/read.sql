-- Reads of committed state, each one statement at READ COMMITTED: one snapshot.

-- query: read_aggregates
-- Reads the aggregates of some keys, as columns: an array of each field, side by side, and null if
-- there is no aggregate. One row is less work for the driver than one for each aggregate, and so is
-- one text for each array: the keys come a line each, as no name of an entity has a line break.
-- A state of more than $3 bytes is not read: it is null, and `larger` has the lengths of all these in
-- their order. How long a state is, is known without reading it.
-- `read_time` is told after the snapshot was taken, by the clock that updates go by: what a ttl has
-- ended by then is not served.
-- `in_doubt`: something of this snapshot may be lost yet; see durability.sql.
SELECT
    e.epoch, e.types_generation, e.commits_in_doubt IS NOT NULL AS in_doubt,
    clock_timestamp() AS read_time, found.larger,
    found.ordinals, found.uids, found.versions, found.states
FROM store_epoch AS e
CROSS JOIN (
    SELECT
        array_agg(octet_length(a.state)) FILTER (WHERE octet_length(a.state) > $3) AS larger,
        array_agg(k.ordinal) AS ordinals,
        array_agg(a.uid) AS uids,
        array_agg(a.version) AS versions,
        array_agg(CASE WHEN octet_length(a.state) <= $3 THEN a.state END) AS states
    FROM unnest(string_to_array($1::text, chr(10)), string_to_array($2::text, chr(10)))
        WITH ORDINALITY AS k (entity_type, entity_id, ordinal)
    JOIN aggregates AS a
        ON a.entity_type = k.entity_type AND a.entity_id = k.entity_id
) AS found;

-- query: measure_aggregates
-- How long the states of some keys are, without reading them; one of no aggregate does not come back.
-- `read_time` is that of all that is read in the same snapshot.
SELECT
    k.ordinal, octet_length(a.state) AS size, e.epoch, e.types_generation,
    e.commits_in_doubt IS NOT NULL AS in_doubt,
    clock_timestamp() AS read_time
FROM unnest(string_to_array($1::text, chr(10)), string_to_array($2::text, chr(10)))
    WITH ORDINALITY AS k (entity_type, entity_id, ordinal)
JOIN aggregates AS a
    ON a.entity_type = k.entity_type AND a.entity_id = k.entity_id
CROSS JOIN store_epoch AS e;

-- query: list_aggregates
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

-- query: read_keyframe
-- The newest whole state of some versions, $4 down to $5, to fold later changes into. Of a version
-- only the first change is looked at: those that came late while it was current have none, and their
-- number has no bound.
SELECT v.version, c.state
FROM generate_series($4::bigint, $5::bigint, -1) AS v (version)
CROSS JOIN LATERAL (
    SELECT l.state
    FROM changes AS l
    WHERE l.entity_type = $1 AND l.entity_id = $2 AND l.uid = $3 AND l.version = v.version
    ORDER BY l.commit_time
    LIMIT 1
) AS c
WHERE c.state IS NOT NULL
ORDER BY v.version DESC
LIMIT 1;

-- query: read_versions
-- What each of some versions changed, $4 up to $5, oldest first: at most $6 bytes, unless it is one
-- alone. What came late while a version was current is not read.
SELECT p.version, p.change
FROM (
    SELECT
        v.version,
        c.change,
        row_number() OVER page = 1 OR sum(octet_length(c.change)) OVER page <= $6 AS fits
    FROM generate_series($4::bigint, $5::bigint) AS v (version)
    CROSS JOIN LATERAL (
        SELECT l.change
        FROM changes AS l
        WHERE l.entity_type = $1 AND l.entity_id = $2 AND l.uid = $3 AND l.version = v.version
        ORDER BY l.commit_time
        LIMIT 1
    ) AS c
    WINDOW page AS (ORDER BY v.version ROWS UNBOUNDED PRECEDING)
) AS p
WHERE p.fits
ORDER BY p.version;

-- query: read_changes
-- One page of the changes of one incarnation, those after the version $4 and the commit time $5,
-- oldest first: at most $6, and at most $7 bytes unless it is one alone.
SELECT p.version, p.commit_time, p.change, p.more
FROM (
    SELECT
        c.version,
        c.commit_time,
        c.change,
        row_number() OVER page = 1 OR sum(octet_length(c.change)) OVER page <= $7 AS fits,
        lead(true, 1, false) OVER page AS more
    FROM changes AS c
    WHERE
        c.entity_type = $1 AND c.entity_id = $2 AND c.uid = $3
        AND (c.version, c.commit_time) > ($4, $5)
    WINDOW page AS (ORDER BY c.version, c.commit_time ROWS UNBOUNDED PRECEDING)
    ORDER BY c.version, c.commit_time
    LIMIT $6
) AS p
WHERE p.fits
ORDER BY p.version, p.commit_time;

-- query: has_more_changes
-- Whether one incarnation has more than so many changes.
SELECT EXISTS (
    SELECT
    FROM changes AS c
    WHERE c.entity_type = $1 AND c.entity_id = $2 AND c.uid = $3
    ORDER BY c.version, c.commit_time
    OFFSET $4
) AS has_more;

-- query: version_at
-- The newest version of one incarnation, $5 at most, at a time of the database's clock; 0 if there
-- was none. Commit times rise with the version, so it is looked for by halves: to look at all
-- changes since then has no bound. A half has a beginning, if only that of its first change that
-- was kept.
WITH RECURSIVE search (low, high) AS (
    SELECT 0::bigint, $5::bigint
    UNION ALL
    SELECT
        CASE WHEN h.is_before THEN s.middle ELSE s.low END,
        CASE WHEN h.is_before THEN s.high ELSE s.middle - 1 END
    FROM (
        SELECT r.low, r.high, (r.low + r.high + 1) / 2 AS middle
        FROM search AS r
        WHERE r.low < r.high
    ) AS s
    CROSS JOIN LATERAL (
        SELECT coalesce(
            (
                SELECT c.commit_time <= $4
                FROM changes AS c
                WHERE
                    c.entity_type = $1 AND c.entity_id = $2 AND c.uid = $3
                    AND c.version = s.middle
                ORDER BY c.commit_time
                LIMIT 1
            ),
            true  -- retention dropped it, so it is older than all that is left
        ) AS is_before
    ) AS h
)
SELECT s.low AS version FROM search AS s WHERE s.low = s.high;

-- query: current_incarnation
SELECT a.uid, e.epoch, a.version, a.state
FROM aggregates AS a
CROSS JOIN store_epoch AS e
WHERE a.entity_type = $1 AND a.entity_id = $2;
