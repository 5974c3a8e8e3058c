-- The design of the article that Featom comes from, with its Entity Framework mapping taken
-- literally: a row per feature, values as text, and its three indexes.

-- name: schema
CREATE TABLE feature_aggregates (
    id uuid PRIMARY KEY,
    entity_id uuid NOT NULL UNIQUE,
    last_modified_utc timestamptz NOT NULL
);
CREATE TABLE features (
    id uuid PRIMARY KEY,
    aggregate_id uuid NOT NULL REFERENCES feature_aggregates (id) ON DELETE CASCADE,
    name text NOT NULL,
    value text NOT NULL,
    value_type text NOT NULL,
    timestamp timestamptz NOT NULL
);
CREATE INDEX features_aggregate_id ON features (aggregate_id);
CREATE INDEX features_name ON features (name);

-- name: load
-- $1 aggregates, each with a feature of each of the names $2.
WITH made AS (
    INSERT INTO feature_aggregates
    SELECT gen_random_uuid(), lpad(to_hex(n), 32, '0')::uuid, now()
    FROM generate_series(0, $1::int - 1) AS n
    RETURNING id
)
INSERT INTO features
SELECT gen_random_uuid(), made.id, name, random()::text, 'float', now()
FROM made CROSS JOIN unnest($2::text[]) AS name;

-- name: read
-- The aggregate with all its features; xmin is its version.
SELECT a.id, a.xmin AS version, f.id AS feature_id, f.name, f.value, f.value_type, f.timestamp
FROM feature_aggregates AS a
LEFT JOIN features AS f ON f.aggregate_id = a.id
WHERE a.entity_id = $1;

-- name: write
-- The aggregate if it is still the version that was read, and its changed features, in one round
-- trip. Nothing comes back if it is another one.
WITH current AS (
    UPDATE feature_aggregates AS a
    SET last_modified_utc = $3
    WHERE a.id = $1 AND a.xmin = $2::xid
    RETURNING a.id
)
UPDATE features AS f
SET value = c.value, value_type = c.value_type, timestamp = $3
FROM current, unnest($4::uuid[], $5::text[], $6::text[]) AS c (id, value, value_type)
WHERE f.id = c.id
RETURNING f.id;
