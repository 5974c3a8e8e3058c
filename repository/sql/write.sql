-- The write protocol. Each statement is its own transaction, but for those that
-- writing/transaction.py puts around write_batch, and for that of contended keys (writing/contention.py): the
-- connection's default isolation decides which. Each column of one call is an array, or a text of so
-- many lines or numbers. Times are microseconds since 1970; they are exact as far as a double is,
-- until 2255.

-- query: read_for_update
-- Reads the rows that a batch is about, before its transaction, at READ COMMITTED: a probe for an
-- absent key inside a SERIALIZABLE transaction would lock an index page shared with strangers.
-- One row comes back for each key, in any order; that of the first key has what is the same for all.
-- A state of more than $3 bytes does not come with it; its length is known without reading it.
-- `now` is told after the snapshot was taken, so it is later than every change in it. The time of the
-- statement is not, and an aggregate that was deleted has no row to say when its last change was.
-- `in_doubt`: something of this snapshot may be lost yet; see durability.sql.
SELECT
    k.ordinal, a.xmin, a.version, a.uid,
    CASE WHEN octet_length(a.state) <= $3::integer THEN a.state END AS state,
    t.revision AS type_revision,
    CASE k.ordinal WHEN 1 THEN e.epoch END AS epoch,
    CASE k.ordinal WHEN 1 THEN e.commits_in_doubt IS NOT NULL END AS in_doubt,
    CASE k.ordinal WHEN 1 THEN clock_timestamp() END AS now
FROM unnest(string_to_array($1, chr(10)), string_to_array($2, chr(10)))
    WITH ORDINALITY AS k (entity_type, entity_id, ordinal)
CROSS JOIN store_epoch AS e
LEFT JOIN entity_types AS t ON t.name = k.entity_type
LEFT JOIN aggregates AS a
    ON a.entity_type = k.entity_type AND a.entity_id = k.entity_id;

-- query: read_for_update_with_requests
-- The same, and in the same snapshot which request ids are known: rows with a fingerprint, numbered
-- as $4 to $6. The first outcome is the one that counts. What is there is known, whatever a clock
-- says of its age: it goes with its partition.
SELECT
    k.ordinal, a.xmin, a.version, a.uid,
    CASE WHEN octet_length(a.state) <= $3::integer THEN a.state END AS state,
    t.revision AS type_revision,
    CASE k.ordinal WHEN 1 THEN e.epoch END AS epoch,
    CASE k.ordinal WHEN 1 THEN e.commits_in_doubt IS NOT NULL END AS in_doubt,
    CASE k.ordinal WHEN 1 THEN clock_timestamp() END AS now,
    NULL::bytea AS fingerprint, NULL::bytea AS outcome, NULL::timestamptz AS commit_time
FROM unnest(string_to_array($1, chr(10)), string_to_array($2, chr(10)))
    WITH ORDINALITY AS k (entity_type, entity_id, ordinal)
CROSS JOIN store_epoch AS e
LEFT JOIN entity_types AS t ON t.name = k.entity_type
LEFT JOIN aggregates AS a
    ON a.entity_type = k.entity_type AND a.entity_id = k.entity_id
UNION ALL
SELECT
    k.ordinal, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, r.fingerprint, r.outcome, r.commit_time
FROM unnest(string_to_array($4, chr(10)), string_to_array($5, chr(10)), $6::uuid[])
    WITH ORDINALITY AS k (entity_type, entity_id, request_id, ordinal)
JOIN requests AS r
    ON r.entity_type = k.entity_type AND r.entity_id = k.entity_id
    AND r.request_id = k.request_id;

-- query: sizes
-- The bytes of some aggregates, numbered as their keys; what is not there does not come back.
SELECT k.ordinal, octet_length(a.state) AS bytes
FROM unnest(string_to_array($1, chr(10)), string_to_array($2, chr(10)))
    WITH ORDINALITY AS k (entity_type, entity_id, ordinal)
JOIN aggregates AS a
    ON a.entity_type = k.entity_type AND a.entity_id = k.entity_id;

-- once: lock_keys
-- Waits, but not long, until no other server writes the entities of these locks; they are free again
-- when the transaction ends.
SELECT set_config('lock_timeout', $2, true), pg_advisory_xact_lock(t.lock)
FROM unnest($1::bigint[]) AS t (lock);

-- query: locks_are_free
-- Whether no other server has, or waits for, one of these locks.
SELECT bool_and(pg_try_advisory_xact_lock(t.lock)) FROM unnest($1::bigint[]) AS t (lock);

-- query: find_batch
-- Which of these keys a batch changed: asked when the answer to its commit was lost. A batch writes
-- all of a unit, so one key tells for all.
SELECT k.ordinal
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k (entity_type, entity_id, ordinal)
WHERE EXISTS (
    SELECT FROM changes AS c
    WHERE c.entity_type = k.entity_type AND c.entity_id = k.entity_id
        AND c.batch_id = $3 AND c.commit_time >= $4
);

-- once: write_batch
-- Writes each row that is still the one that was read, with the changes and request ids that belong
-- to it. Rows that must be written together form a unit; a unit of which a row has lost its race
-- comes back, and nothing of it is written.
--
-- A row has lost if its xmin or version is another one (xmin alone does not tell updates of one
-- transaction apart, and its 32 bits come round), or if someone else holds its lock: waiting for
-- that would end in a serialization failure of the whole batch.
--
-- `read` are rows to update, to delete or to leave as they are, as they were read; `updated` what they
-- become, `deleted` those that go. `inserted` are rows that are new, or that `vacate` takes away again;
-- another writer's row of the same key fails the whole statement with 23505. `recorded` are changes,
-- `remembered` request ids. writing/columns.py makes a column of each.
--
-- PostgreSQL runs the parts that write from the last to the first. So `inserted` stands behind `deleted`
-- and `updated`: a new row waits for another writer's of the same key, also for one that is being
-- deleted, and who waits must have nothing yet for which others wait, but new rows of smaller keys.
--
-- `types` are the revisions of the entity types that the rows were checked against. A unit has lost too
-- if one of its types has another revision by now, or is being changed. The advisory lock makes a
-- change of the type wait until this commits. It is tried and never waited for, as the units of other
-- types would wait too; and it is refused as soon as a change waits for it, so that writers who come
-- one after the other cannot starve the change. What decides is the lock on the row: it fails this if
-- the type was changed since its snapshot.
--
-- The last row names the transaction, which is the xmin of all that it wrote, and the backend: behind
-- a pooler it could be another one than that of the connection. Those before it name the units that
-- have lost, and whether to a change of their type.
WITH was_read AS MATERIALIZED (
    SELECT *
    FROM unnest(
        string_to_array(:read.unit, ',')::int[], string_to_array(:read.row_number, ',')::int[],
        string_to_array(:read.entity_type, chr(10)), string_to_array(:read.entity_id, chr(10)),
        string_to_array(:read.xmin, ',')::xid[], string_to_array(:read.version, ',')::bigint[]
    ) AS r (unit, row_number, entity_type, entity_id, xmin_read, version_read)
),
locked AS MATERIALIZED (
    SELECT r.row_number
    FROM was_read AS r
    JOIN aggregates AS a
        ON a.entity_type = r.entity_type AND a.entity_id = r.entity_id
        AND a.xmin = r.xmin_read AND a.version = r.version_read
    FOR NO KEY UPDATE OF a SKIP LOCKED
),
types_free AS MATERIALIZED (
    SELECT r.name, r.revision
    FROM unnest(
        string_to_array(:types.name, chr(10)), string_to_array(:types.revision, ',')::bigint[]
    ) AS r (name, revision)
    WHERE pg_try_advisory_xact_lock_shared(hashtextextended(r.name, 7305411223044))
),
types_locked AS MATERIALIZED (
    SELECT t.name
    FROM types_free AS r
    JOIN entity_types AS t ON t.name = r.name AND t.revision = r.revision
    FOR SHARE OF t
),
lost AS MATERIALIZED (
    SELECT r.unit, false AS to_a_change
    FROM was_read AS r
    WHERE r.row_number NOT IN (SELECT l.row_number FROM locked AS l)
    UNION
    SELECT r.unit, r.entity_type NOT IN (SELECT f.name FROM types_free AS f)
    FROM (
        SELECT w.unit, w.entity_type FROM was_read AS w
        UNION ALL
        SELECT i.unit, i.entity_type
        FROM unnest(
            string_to_array(:inserted.unit, ',')::int[],
            string_to_array(:inserted.entity_type, chr(10))
        ) AS i (unit, entity_type)
    ) AS r
    WHERE r.entity_type NOT IN (SELECT t.name FROM types_locked AS t)
),
deleted AS (
    DELETE FROM aggregates AS a
    USING unnest(
        string_to_array(:deleted.unit, ',')::int[],
        string_to_array(:deleted.entity_type, chr(10)), string_to_array(:deleted.entity_id, chr(10))
    ) AS r (unit, entity_type, entity_id)
    WHERE
        a.entity_type = r.entity_type AND a.entity_id = r.entity_id
        AND r.unit NOT IN (SELECT l.unit FROM lost AS l)
),
updated AS (
    UPDATE aggregates AS a
    SET
        uid = r.uid, version = r.version, state = r.state,
        create_time = timestamptz 'epoch' + r.create_time * interval '1 microsecond',
        update_time = timestamptz 'epoch' + r.update_time * interval '1 microsecond'
    FROM unnest(
        string_to_array(:updated.unit, ',')::int[],
        string_to_array(:updated.entity_type, chr(10)), string_to_array(:updated.entity_id, chr(10)),
        string_to_array(:updated.uid, ',')::uuid[], string_to_array(:updated.version, ',')::bigint[], :updated.state::bytea[],
        string_to_array(:updated.create_time, ',')::bigint[], string_to_array(:updated.update_time, ',')::bigint[]
    ) AS r (unit, entity_type, entity_id, uid, version, state, create_time, update_time)
    WHERE
        a.entity_type = r.entity_type AND a.entity_id = r.entity_id
        AND r.unit NOT IN (SELECT l.unit FROM lost AS l)
),
inserted AS (
    INSERT INTO aggregates (
        entity_type, entity_id, uid, version, state, create_time, update_time
    )
    SELECT
        r.entity_type, r.entity_id, r.uid, r.version, r.state,
        timestamptz 'epoch' + r.create_time * interval '1 microsecond',
        timestamptz 'epoch' + r.update_time * interval '1 microsecond'
    FROM unnest(
        string_to_array(:inserted.unit, ',')::int[],
        string_to_array(:inserted.entity_type, chr(10)), string_to_array(:inserted.entity_id, chr(10)),
        string_to_array(:inserted.uid, ',')::uuid[], string_to_array(:inserted.version, ',')::bigint[], :inserted.state::bytea[],
        string_to_array(:inserted.create_time, ',')::bigint[], string_to_array(:inserted.update_time, ',')::bigint[]
    ) AS r (unit, entity_type, entity_id, uid, version, state, create_time, update_time)
    WHERE r.unit NOT IN (SELECT l.unit FROM lost AS l)
),
recorded AS (
    INSERT INTO changes (
        entity_type, entity_id, uid, version, commit_time, batch_id, request_id, change, state
    )
    SELECT
        c.entity_type, c.entity_id, c.uid, c.version,
        timestamptz 'epoch' + c.commit_time * interval '1 microsecond',
        :batch_id::uuid, c.request_id, c.change, c.state
    FROM unnest(
        string_to_array(:recorded.unit, ',')::int[],
        string_to_array(:recorded.entity_type, chr(10)), string_to_array(:recorded.entity_id, chr(10)),
        string_to_array(:recorded.uid, ',')::uuid[], string_to_array(:recorded.version, ',')::bigint[],
        string_to_array(:recorded.commit_time, ',')::bigint[], string_to_array(:recorded.request_id, ',', '')::uuid[],
        :recorded.change::bytea[], :recorded.state::bytea[]
    ) AS c (
        unit, entity_type, entity_id, uid, version, commit_time, request_id, change, state
    )
    WHERE c.unit NOT IN (SELECT l.unit FROM lost AS l)
),
remembered AS (
    INSERT INTO requests (
        entity_type, entity_id, request_id, commit_time, fingerprint, outcome
    )
    SELECT
        q.entity_type, q.entity_id, q.request_id,
        timestamptz 'epoch' + q.commit_time * interval '1 microsecond',
        q.fingerprint, q.outcome
    FROM unnest(
        string_to_array(:remembered.unit, ',')::int[],
        string_to_array(:remembered.entity_type, chr(10)), string_to_array(:remembered.entity_id, chr(10)),
        string_to_array(:remembered.request_id, ',')::uuid[], string_to_array(:remembered.commit_time, ',')::bigint[],
        :remembered.fingerprint::bytea[], :remembered.outcome::bytea[]
    ) AS q (
        unit, entity_type, entity_id, request_id, commit_time, fingerprint, outcome
    )
    WHERE q.unit NOT IN (SELECT l.unit FROM lost AS l)
)
SELECT l.unit, l.to_a_change, NULL::xid AS transaction, NULL::integer AS pid FROM lost AS l
UNION ALL
SELECT NULL, NULL, pg_current_xact_id()::xid, pg_backend_pid();

-- once: vacate
-- Takes away the rows that write_batch has made, in the same transaction, for entities that are to
-- have none: nobody ever sees them. They alone are at version 0.
DELETE FROM aggregates AS a
USING unnest($1::text[], $2::text[]) AS k (entity_type, entity_id)
WHERE a.entity_type = k.entity_type AND a.entity_id = k.entity_id AND a.version = 0;

-- query: read_traces
-- What is left of entities that have no aggregate: the last change of each, of whichever
-- incarnation, or only request ids. One of which nothing is left does not come back.
SELECT k.ordinal, c.uid, c.version, c.commit_time
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k (entity_type, entity_id, ordinal)
LEFT JOIN LATERAL (
    SELECT l.uid, l.version, l.commit_time
    FROM changes AS l
    WHERE l.entity_type = k.entity_type AND l.entity_id = k.entity_id
    ORDER BY l.commit_time DESC, l.version DESC
    LIMIT 1
) AS c ON true
WHERE
    c.uid IS NOT NULL
    OR EXISTS (
        SELECT FROM requests AS r
        WHERE r.entity_type = k.entity_type AND r.entity_id = k.entity_id
    );

-- once: erase_history
-- Erases what is known of some entities, in the transaction that deletes them.
DELETE FROM changes AS c
USING unnest($1::text[], $2::text[]) AS k (entity_type, entity_id)
WHERE c.entity_type = k.entity_type AND c.entity_id = k.entity_id;

-- once: erase_requests
-- Forgets every request about these entities, beside erase_history: the digest of a request can be
-- guessed from, and an outcome names features. That of the erasure itself is written afterwards.
DELETE FROM requests AS r
USING unnest($1::text[], $2::text[]) AS k (entity_type, entity_id)
WHERE r.entity_type = k.entity_type AND r.entity_id = k.entity_id;
