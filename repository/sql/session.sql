-- What a new connection is asked and told before anything else uses it.

-- query: describe
-- Describes the server and the session. $1 names our tables: `schemas` has where they are found. $2
-- names settings: `crash_unsafe` has those that are off.
-- pg_control_checkpoint() would know a new timeline only after the first checkpoint on it.
SELECT
    s.pid, s.backend_start,
    (SELECT c.system_identifier FROM pg_control_system() AS c) AS system_identifier,
    CASE
        WHEN pg_is_in_recovery() THEN NULL
        ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8)
    END AS timeline,
    pg_postmaster_start_time() AS server_started,
    coalesce(host(inet_server_addr()) || ':' || inet_server_port(), 'local socket') AS address,
    current_setting('server_version_num')::integer AS version,
    current_setting('server_encoding') AS encoding,
    pg_is_in_recovery() AS in_recovery,
    current_setting('transaction_read_only') = 'on' AS read_only,
    current_setting('synchronous_commit') AS synchronous_commit,
    ARRAY(
        SELECT u.name
        FROM unnest($2::text[]) AS u (name)
        WHERE current_setting(u.name) = 'off'
    ) AS crash_unsafe,
    ARRAY(
        SELECT DISTINCT quote_ident(n.nspname)
        FROM unnest($1::text[]) AS t (name)
        JOIN pg_class AS c ON c.oid = to_regclass(t.name)
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
    ) AS schemas
FROM pg_stat_activity AS s
WHERE s.pid = pg_backend_pid();

-- once: apply
-- Sets what the session needs, and reads each setting back.
SELECT s.name, set_config(s.name, s.value, false) AS in_force, pg_backend_pid() AS pid
FROM unnest($1::text[], $2::text[]) AS s (name, value);

-- query: own_pid
SELECT pg_backend_pid();

-- once: heartbeat
-- Proves that calls can be served: what is read and which rights are missing, of those in $1 to $3;
-- the message makes it a write, whose commit reaches the log, and the standbys that it must reach.
SELECT
    ARRAY(SELECT v.version_num FROM alembic_version AS v) AS revisions,
    (SELECT w.oldest_build FROM schema_window AS w) AS oldest_build,
    current_setting('transaction_read_only') = 'on' AS read_only,
    ARRAY(
        SELECT n.privilege || ' on ' || n.object
        FROM unnest($1::text[], $2::text[], $3::text[]) AS n (object, field, privilege)
        WHERE NOT CASE
            WHEN n.privilege = 'EXECUTE' THEN has_function_privilege(n.object, n.privilege)
            WHEN n.field IS NULL THEN has_table_privilege(n.object, n.privilege)
            ELSE has_column_privilege(n.object, n.field, n.privilege)
        END
    ) AS missing,
    pg_logical_emit_message(true, 'featom', '') AS lsn;

-- query: what_it_waits_for
-- What a backend is busy with, that was asked for a heartbeat; nothing if it has ended it.
SELECT coalesce(a.wait_event, 'the processor') AS waits_for
FROM pg_stat_activity AS a
WHERE
    a.pid = $1 AND a.backend_start = $2
    AND a.state = 'active' AND a.wait_event IS DISTINCT FROM 'ClientWrite';

-- query: spill
-- Fails if the disk is full: the sort does not fit into the memory that it gets, and leaves nothing.
SELECT count(*)
FROM (
    SELECT set_config('work_mem', '64kB', true)
) AS s
CROSS JOIN LATERAL (
    SELECT repeat(n::text, 100) AS filler FROM generate_series(1, 10000) AS n ORDER BY filler OFFSET 0
) AS sorted;
