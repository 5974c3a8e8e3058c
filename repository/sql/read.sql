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
-- How long the states of some keys are, without reading them; one of no aggregate does not come back,
-- and if there is none at all one row without an ordinal does.
-- `read_time` is that of all that is read in the same snapshot.
SELECT
    found.ordinal, found.size, e.epoch, e.types_generation,
    e.commits_in_doubt IS NOT NULL AS in_doubt,
    clock_timestamp() AS read_time
FROM store_epoch AS e
LEFT JOIN (
    SELECT k.ordinal, octet_length(a.state) AS size
    FROM unnest(string_to_array($1::text, chr(10)), string_to_array($2::text, chr(10)))
        WITH ORDINALITY AS k (entity_type, entity_id, ordinal)
    JOIN aggregates AS a
        ON a.entity_type = k.entity_type AND a.entity_id = k.entity_id
) AS found ON true;

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
