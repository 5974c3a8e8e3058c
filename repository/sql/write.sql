-- The write protocol. Each statement is its own transaction: the connection's default isolation
-- decides which. Arrays of one call have one element a row.

-- name: read_for_update
-- Reads the rows that a batch is about, before its transaction, at READ COMMITTED: a probe for an
-- absent key inside a SERIALIZABLE transaction would lock an index page shared with strangers.
-- One row comes back for each key, in any order.
SELECT k.ordinal, a.xmin, a.version, a.uid, a.state, e.epoch, statement_timestamp() AS now
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k (entity_type, entity_id, ordinal)
CROSS JOIN store_epoch AS e
LEFT JOIN aggregates AS a
    ON a.entity_type = k.entity_type AND a.entity_id = k.entity_id;

-- name: read_for_update_with_requests
-- The same, and in the same snapshot which request ids are known, no older than $6: rows with a
-- fingerprint, numbered as $3 to $5. The first outcome is the one that counts.
SELECT
    k.ordinal, a.xmin, a.version, a.uid, a.state, e.epoch, statement_timestamp() AS now,
    NULL::bytea AS fingerprint, NULL::timestamptz AS update_time, NULL::text[] AS stale_features,
    NULL::boolean AS deleted, NULL::timestamptz AS commit_time
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k (entity_type, entity_id, ordinal)
CROSS JOIN store_epoch AS e
LEFT JOIN aggregates AS a
    ON a.entity_type = k.entity_type AND a.entity_id = k.entity_id
UNION ALL
SELECT
    k.ordinal, NULL, r.version, r.uid, NULL, e.epoch, NULL,
    r.fingerprint, r.update_time, r.stale_features, r.deleted, r.commit_time
FROM unnest($3::text[], $4::text[], $5::uuid[])
    WITH ORDINALITY AS k (entity_type, entity_id, request_id, ordinal)
CROSS JOIN store_epoch AS e
JOIN requests AS r
    ON r.entity_type = k.entity_type AND r.entity_id = k.entity_id
    AND r.request_id = k.request_id
    AND r.commit_time > statement_timestamp() - $6::interval;

-- name: find_batch
-- Which of these keys a batch changed: asked when the answer to its commit was lost.
SELECT k.ordinal
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k (entity_type, entity_id, ordinal)
WHERE EXISTS (
    SELECT FROM changes AS c
    WHERE c.entity_type = k.entity_type AND c.entity_id = k.entity_id
        AND c.batch_id = $3 AND c.commit_time >= $4
);

-- name: write_batch
-- Writes each row that is still the one that was read, with the changes and request ids that belong
-- to it. A row whose number does not come back lost its race, and nothing of it is written.
--
-- $1-$10: rows that exist. xmin says that the row is the one that was read; version says it too,
-- because updates of one transaction share an xmin and because 32 bits come round.
-- $11-$17: rows that are new; another writer's row of the same key fails the whole statement with
-- 23505. $18-$22: rows to delete. $23-$31: changes; -1 stands for a row that is
-- new or not written, which the statement does not check.
-- $32-$42: request ids. $43: names the batch.
WITH updated AS (
    UPDATE aggregates AS a
    SET
        uid = r.uid, version = r.version, state = r.state,
        create_time = r.create_time, update_time = r.update_time
    FROM unnest(
        $1::int[], $2::text[], $3::text[], $4::xid[], $5::bigint[], $6::uuid[], $7::bigint[],
        $8::bytea[], $9::timestamptz[], $10::timestamptz[]
    ) AS r (
        row_number, entity_type, entity_id, read_xmin, read_version, uid, version,
        state, create_time, update_time
    )
    WHERE
        a.entity_type = r.entity_type AND a.entity_id = r.entity_id
        AND a.xmin = r.read_xmin AND a.version = r.read_version
    RETURNING r.row_number
),
inserted AS (
    INSERT INTO aggregates (
        entity_type, entity_id, uid, version, state, create_time, update_time
    )
    SELECT *
    FROM unnest(
        $11::text[], $12::text[], $13::uuid[], $14::bigint[], $15::bytea[],
        $16::timestamptz[], $17::timestamptz[]
    )
),
deleted AS (
    DELETE FROM aggregates AS a
    USING unnest(
        $18::int[], $19::text[], $20::text[], $21::xid[], $22::bigint[]
    ) AS r (row_number, entity_type, entity_id, read_xmin, read_version)
    WHERE
        a.entity_type = r.entity_type AND a.entity_id = r.entity_id
        AND a.xmin = r.read_xmin AND a.version = r.read_version
    RETURNING r.row_number
),
written AS (
    SELECT row_number FROM updated
    UNION ALL
    SELECT row_number FROM deleted
    UNION ALL
    SELECT -1
),
recorded AS (
    INSERT INTO changes (
        entity_type, entity_id, uid, version, commit_time, batch_id, request_id, change, state
    )
    SELECT
        c.entity_type, c.entity_id, c.uid, c.version, c.commit_time, $43::uuid, c.request_id,
        c.change, c.state
    FROM unnest(
        $23::int[], $24::text[], $25::text[], $26::uuid[], $27::bigint[], $28::timestamptz[],
        $29::uuid[], $30::bytea[], $31::bytea[]
    ) AS c (
        row_number, entity_type, entity_id, uid, version, commit_time, request_id, change, state
    )
    WHERE c.row_number IN (SELECT w.row_number FROM written AS w)
),
remembered AS (
    INSERT INTO requests (
        entity_type, entity_id, request_id, commit_time, fingerprint, uid, version, update_time,
        stale_features, deleted
    )
    SELECT
        q.entity_type, q.entity_id, q.request_id, q.commit_time, q.fingerprint, q.uid, q.version,
        q.update_time, string_to_array(q.stale_features, ','), q.deleted
    FROM unnest(
        $32::int[], $33::text[], $34::text[], $35::uuid[], $36::timestamptz[], $37::bytea[],
        $38::uuid[], $39::bigint[], $40::timestamptz[], $41::text[], $42::boolean[]
    ) AS q (
        row_number, entity_type, entity_id, request_id, commit_time, fingerprint, uid, version,
        update_time, stale_features, deleted
    )
    WHERE q.row_number IN (SELECT w.row_number FROM written AS w)
)
SELECT w.row_number FROM written AS w;

-- name: erase_history
-- Erases what is known of some entities, in the transaction that deletes them.
DELETE FROM changes AS c
USING unnest($1::text[], $2::text[]) AS k (entity_type, entity_id)
WHERE c.entity_type = k.entity_type AND c.entity_id = k.entity_id;
