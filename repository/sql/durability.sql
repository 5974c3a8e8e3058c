-- What answers may rest on. Each statement runs at READ COMMITTED.
--
-- A commit that can be seen is durable, as PostgreSQL is told to make it, unless its wait for a
-- synchronous standby was cut short: its backend was ended, or PostgreSQL itself. A commit of our
-- own that begins afterwards comes later in the log, so when it is durable all before it is: a
-- barrier. pg_logical_emit_message(true, ...) is the least that such a commit can write.
--
-- Who waits for a standby is not freed by a client that goes away. The lock lets one barrier wait,
-- whoever asks; the others give up.

-- query: look_around
-- The epoch; and whether it is that of this timeline and a barrier has passed since PostgreSQL was
-- started. After a crash, after which PostgreSQL's own start is the old one, durable_since is empty.
SELECT
    e.epoch,
    NOT pg_is_in_recovery() AS is_primary,
    e.timeline IS NOT DISTINCT FROM current_timeline() AND EXISTS (
        SELECT FROM durable_since AS d WHERE d.postmaster_start = pg_postmaster_start_time()
    ) AS is_settled
FROM store_epoch AS e;

-- once: lock_barrier
SELECT set_config('lock_timeout', $1, true), pg_advisory_xact_lock(7305411223044);

-- once: follow_timeline
-- Raises the epoch if the timeline is another one, and makes the commit a barrier in any case.
SELECT follow_timeline(), pg_logical_emit_message(true, 'featom', '');

-- idempotent: settle
-- Notes that a barrier has passed since PostgreSQL was started.
WITH earlier AS (
    DELETE FROM durable_since AS d WHERE d.postmaster_start < pg_postmaster_start_time()
)
INSERT INTO durable_since (postmaster_start)
VALUES (pg_postmaster_start_time())
ON CONFLICT DO NOTHING;

-- once: barrier
SELECT
    set_config('lock_timeout', $1, true),
    pg_advisory_xact_lock(7305411223044),
    pg_logical_emit_message(true, 'featom', '');

-- query: list_in_doubt
-- A commit in doubt was announced before it could be seen, and is until it is durable. So this may
-- be asked after the reads that it is about.
SELECT unnest(e.commits_in_doubt) FROM store_epoch AS e;

-- query: waits_for_standby
-- Whether a backend has committed and waits for a synchronous standby; nobody sees that commit yet.
-- None comes back if the backend is gone.
SELECT a.wait_event IS NOT DISTINCT FROM 'SyncRep'
FROM pg_stat_activity AS a
WHERE a.pid = $1 AND a.backend_start = $2;

-- idempotent: announce
-- Tells all servers that a backend is about to be ended, also while no standby is there to wait for.
WITH announced AS (
    UPDATE store_epoch AS e
    SET commits_in_doubt = array_append(e.commits_in_doubt, $1::text)
    WHERE ($1::text = ANY (e.commits_in_doubt)) IS NOT true
)
SELECT set_config('lock_timeout', $2, true), set_config('synchronous_commit', 'local', true);

-- idempotent: end_backend
-- Ends a backend, unless it waits for a standby, and says whether it is gone: from then on what it
-- was sent is committed or never will be. None comes back if the backend was gone already.
SELECT
    CASE WHEN a.wait_event IS NOT DISTINCT FROM 'SyncRep' THEN false
    ELSE pg_terminate_backend(a.pid, $3) END
FROM pg_stat_activity AS a
WHERE a.pid = $1 AND a.backend_start = $2;

-- once: withdraw
-- A barrier, and with it what was announced is settled.
WITH withdrawn AS (
    UPDATE store_epoch AS e
    SET commits_in_doubt = nullif(array_remove(e.commits_in_doubt, $1::text), '{}')
    WHERE $1::text = ANY (e.commits_in_doubt)
)
SELECT
    set_config('lock_timeout', $2, true),
    pg_advisory_xact_lock(7305411223044),
    pg_logical_emit_message(true, 'featom', '');
