-- Reads of the past, each one statement at READ COMMITTED. A history has no end, so none of them looks
-- at all of it: each enters the index where it must, and says where it stopped.

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

-- query: read_changes_back
-- The same, the newest first: those before the version $4 and the commit time $5.
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
        AND (c.version, c.commit_time) < ($4, $5)
    WINDOW page AS (ORDER BY c.version DESC, c.commit_time DESC ROWS UNBOUNDED PRECEDING)
    ORDER BY c.version DESC, c.commit_time DESC
    LIMIT $6
) AS p
WHERE p.fits
ORDER BY p.version DESC, p.commit_time DESC;

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
-- The aggregate as it is, if there is one, and the epoch in any case.
SELECT e.epoch, a.uid, a.version, a.state, a.create_time
FROM store_epoch AS e
LEFT JOIN aggregates AS a ON a.entity_type = $1 AND a.entity_id = $2;

-- query: read_incarnations
-- Some of the incarnations that an entity has changes of, those with uids after $3, at most $4, in
-- that order; the index is entered for each, so that it does not matter how many changes they have.
-- When each began and its last change was committed, as far as the changes were kept.
WITH RECURSIVE found (uid, number) AS (
    (
        SELECT c.uid, 1
        FROM changes AS c
        WHERE c.entity_type = $1 AND c.entity_id = $2 AND c.uid > $3
        ORDER BY c.uid
        LIMIT 1
    )
    UNION ALL
    SELECT n.uid, f.number + 1
    FROM found AS f
    CROSS JOIN LATERAL (
        SELECT c.uid
        FROM changes AS c
        WHERE c.entity_type = $1 AND c.entity_id = $2 AND c.uid > f.uid
        ORDER BY c.uid
        LIMIT 1
    ) AS n
    WHERE f.number < $4::integer
)
SELECT f.uid, a.uid IS NOT NULL AS is_current, b.begin_time, l.end_time
FROM found AS f
CROSS JOIN LATERAL (
    SELECT c.commit_time AS begin_time
    FROM changes AS c
    WHERE c.entity_type = $1 AND c.entity_id = $2 AND c.uid = f.uid
    ORDER BY c.version, c.commit_time
    LIMIT 1
) AS b
CROSS JOIN LATERAL (
    SELECT c.commit_time AS end_time
    FROM changes AS c
    WHERE c.entity_type = $1 AND c.entity_id = $2 AND c.uid = f.uid
    ORDER BY c.version DESC, c.commit_time DESC
    LIMIT 1
) AS l
LEFT JOIN aggregates AS a
    ON a.entity_type = $1 AND a.entity_id = $2 AND a.uid = f.uid;

-- query: newest_version
-- The version of the last change of one incarnation.
SELECT c.version
FROM changes AS c
WHERE c.entity_type = $1 AND c.entity_id = $2 AND c.uid = $3
ORDER BY c.version DESC, c.commit_time DESC
LIMIT 1;

-- query: is_change_kept
-- Whether one change is still there.
SELECT EXISTS (
    SELECT
    FROM changes AS c
    WHERE
        c.entity_type = $1 AND c.entity_id = $2 AND c.uid = $3
        AND c.version = $4 AND c.commit_time = $5
) AS is_kept;

-- query: history_begin
-- Since when changes are kept: the beginning of the oldest partition; none without a partition.
SELECT min(to_date(right(c.relname, 8), 'YYYYMMDD')::timestamp AT TIME ZONE 'UTC') AS begin_time
FROM pg_inherits AS i
JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'changes'::regclass AND c.relname ~ '^changes_[0-9]{8}$';
