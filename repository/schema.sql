-- The schema that all migrations make, but for the partitions of days and months.
-- Written by `make schema`; tests/integration/test_schema_snapshot.py compares it.

CREATE FUNCTION public.advance_partitions(keep_requests interval) RETURNS text
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    SET "DateStyle" TO 'ISO, MDY'
    SET "IntervalStyle" TO 'postgres'
    SET "TimeZone" TO 'UTC'
    AS $_$
    UPDATE retention AS r SET keep_requests = least($1, interval '87600 hours')
    WHERE r.keep_requests < least($1, interval '87600 hours');
    SELECT partition_step(NULL, NULL)
$_$;

CREATE FUNCTION public.current_timeline() RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
    SELECT CASE WHEN NOT pg_is_in_recovery() THEN
        concat_ws(
            '/',
            (SELECT c.system_identifier FROM pg_control_system() AS c),
            left(pg_walfile_name(pg_current_wal_lsn()), 8),
            (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()),
            'aggregates'::regclass::oid
        )
    END
$$;

CREATE FUNCTION public.dated_partitions() RETURNS TABLE(id oid, name text, parent text, upper_bound timestamp with time zone)
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $_$
    SELECT
        c.oid, c.relname::text, p.relname::text,
        (
            to_date(right(c.relname, 8), 'YYYYMMDD')::timestamp
            + CASE p.relname WHEN 'requests' THEN interval '1 day' ELSE interval '1 month' END
        ) AT TIME ZONE 'UTC'
    FROM pg_inherits AS i
    JOIN pg_class AS c ON c.oid = i.inhrelid
    JOIN pg_class AS p ON p.oid = i.inhparent
    WHERE
        i.inhparent IN ('requests'::regclass, 'changes'::regclass)
        AND c.relname ~ '^(requests|changes)_[0-9]{8}$'
    UNION ALL
    SELECT 'requests_default'::regclass, 'requests_default', 'requests', '-infinity'
    WHERE EXISTS (SELECT FROM requests_default)
    UNION ALL
    SELECT 'changes_default'::regclass, 'changes_default', 'changes', '-infinity'
    WHERE EXISTS (SELECT FROM changes_default)
$_$;

CREATE FUNCTION public.follow_timeline() RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
    UPDATE store_epoch
    SET
        epoch = CASE
            WHEN timeline IS NULL THEN epoch
            ELSE greatest(
                epoch + 1,
                extract(epoch FROM clock_timestamp() - timestamptz '2026-01-01 00:00:00Z')::integer
            )
        END,
        timeline = current_timeline()
    WHERE timeline IS DISTINCT FROM current_timeline()
$$;

CREATE FUNCTION public.maintain_partitions(keep_requests interval, keep_changes interval DEFAULT NULL::interval) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'public', 'pg_temp'
    SET "DateStyle" TO 'ISO, MDY'
    SET "IntervalStyle" TO 'postgres'
    SET "TimeZone" TO 'UTC'
    AS $$
BEGIN
    WHILE partition_step(keep_requests, keep_changes) IS NOT NULL LOOP
    END LOOP;
END
$$;

CREATE FUNCTION public.make_partition(parent text, unit text, starting timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    SET "DateStyle" TO 'ISO, MDY'
    SET "TimeZone" TO 'UTC'
    SET search_path TO 'public', 'pg_temp'
    SET "IntervalStyle" TO 'postgres'
    AS $$
DECLARE
    lower_bound timestamp := date_trunc(unit, starting AT TIME ZONE 'UTC');
    upper_bound timestamp := lower_bound + ('1 ' || unit)::interval;
    partition text := parent || '_' || to_char(lower_bound, 'YYYYMMDD');
    stored name;
BEGIN
    IF to_regclass(partition) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', partition, parent);
    FOR stored IN
        SELECT a.attname FROM pg_attribute AS a
        WHERE a.attrelid = partition::regclass AND a.atttypid = 'bytea'::regtype
    LOOP
        EXECUTE format('ALTER TABLE %I ALTER COLUMN %I SET STATISTICS 0', partition, stored);
    END LOOP;
    EXECUTE format('LOCK TABLE %I IN SHARE ROW EXCLUSIVE MODE', parent || '_default');
    EXECUTE format(
        'WITH early AS (DELETE FROM %I WHERE commit_time >= %L AND commit_time < %L RETURNING *)'
        ' INSERT INTO %I SELECT * FROM early',
        parent || '_default', lower_bound AT TIME ZONE 'UTC', upper_bound AT TIME ZONE 'UTC',
        partition
    );
    EXECUTE format(
        'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        parent, partition, lower_bound AT TIME ZONE 'UTC', upper_bound AT TIME ZONE 'UTC'
    );
END
$$;

CREATE FUNCTION public.note_past_partitions() RETURNS void
    LANGUAGE sql
    SET search_path TO 'public', 'pg_temp'
    AS $$
    DELETE FROM past_partitions AS p
    WHERE p.name NOT IN (SELECT d.name FROM dated_partitions() AS d WHERE d.upper_bound < now());
    INSERT INTO past_partitions AS p (name, since, inserted)
    SELECT d.name, r.elapsed, coalesce(pg_stat_get_tuples_inserted(d.id), 0)
    FROM dated_partitions() AS d
    CROSS JOIN retention AS r
    WHERE d.upper_bound < now()
    ON CONFLICT (name) DO UPDATE SET since = excluded.since, inserted = excluded.inserted
    WHERE p.inserted <> excluded.inserted
$$;

CREATE FUNCTION public.observe_retention(promised interval, told interval, passed interval) RETURNS TABLE(kept_requests interval, kept_changes interval, elapsed_now interval, requests_before interval, database_time timestamp with time zone)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    before retention;
BEGIN
    SELECT * INTO STRICT before FROM retention FOR UPDATE;
    database_time := clock_timestamp();
    requests_before := before.keep_requests;
    UPDATE retention AS r
    SET
        keep_requests = greatest(r.keep_requests, least(promised, interval '87600 hours')),
        elapsed = greatest(r.elapsed, least(
            r.elapsed + (database_time - r.look_time), coalesce(told + passed, r.elapsed)
        )),
        look_time = database_time
    RETURNING r.keep_requests, r.keep_changes, r.elapsed
    INTO kept_requests, kept_changes, elapsed_now;
    RETURN NEXT;
END
$$;

CREATE FUNCTION public.partition_name(parent text, unit text, starting timestamp with time zone) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'public', 'pg_temp'
    SET "DateStyle" TO 'ISO, MDY'
    SET "IntervalStyle" TO 'postgres'
    SET "TimeZone" TO 'UTC'
    AS $$
    SELECT parent || '_' || to_char(date_trunc(unit, starting AT TIME ZONE 'UTC'), 'YYYYMMDD')
$$;

CREATE FUNCTION public.partition_step(keep_requests interval, keep_changes interval) RETURNS text
    LANGUAGE plpgsql
    SET lock_timeout TO '500ms'
    SET search_path TO 'public', 'pg_temp'
    SET "DateStyle" TO 'ISO, MDY'
    SET "IntervalStyle" TO 'postgres'
    SET "TimeZone" TO 'UTC'
    AS $$
DECLARE
    missing record;
    setting retention;
    requests_kept interval;
    changes_kept interval;
    expired text;
    strays bigint;
BEGIN
    -- One session at a time; to the others it looks as if nothing were left to do.
    IF NOT pg_try_advisory_xact_lock(7305411223042) THEN
        RETURN NULL;
    END IF;

    SELECT wanted.* INTO missing
    FROM (
        SELECT 'changes' AS parent, 'month' AS unit, now() + make_interval(months => n) AS starting
        FROM generate_series(0, 2) AS n
        UNION ALL
        SELECT 'requests', 'day', now() + make_interval(days => n)
        FROM generate_series(0, 7) AS n
    ) AS wanted
    WHERE to_regclass(partition_name(wanted.parent, wanted.unit, wanted.starting)) IS NULL
    ORDER BY wanted.starting
    LIMIT 1;
    IF FOUND THEN
        PERFORM make_partition(missing.parent, missing.unit, missing.starting);
        RETURN 'made ' || partition_name(missing.parent, missing.unit, missing.starting);
    END IF;

    PERFORM note_past_partitions();
    SELECT * INTO STRICT setting FROM retention;
    IF setting.elapsed - setting.set_elapsed < interval '1 hour' THEN
        RETURN NULL;
    END IF;
    requests_kept := greatest(setting.keep_requests, keep_requests);
    changes_kept := greatest(setting.keep_changes, keep_changes);

    SELECT d.name INTO expired
    FROM dated_partitions() AS d
    JOIN past_partitions AS p ON p.name = d.name
    WHERE
        isfinite(d.upper_bound)
        AND CASE d.parent
            WHEN 'requests' THEN
                d.upper_bound < now() - requests_kept
                AND setting.elapsed - p.since >= requests_kept
            ELSE
                d.upper_bound < now() - changes_kept
                AND setting.elapsed - p.since >= interval '1 day'
        END
    ORDER BY d.upper_bound
    LIMIT 1;
    IF FOUND THEN
        EXECUTE format('DROP TABLE %I', expired);
        RETURN 'dropped ' || expired;
    END IF;

    -- What no partition was ever made for does not go away with one.
    DELETE FROM requests_default WHERE ctid = ANY (ARRAY(
        SELECT r.ctid FROM requests_default AS r
        JOIN past_partitions AS p ON p.name = 'requests_default'
        WHERE
            r.commit_time < now() - requests_kept
            AND setting.elapsed - p.since >= requests_kept
        LIMIT 10000
    ));
    GET DIAGNOSTICS strays = ROW_COUNT;
    IF strays > 0 THEN
        RETURN format('deleted %s rows of requests_default', strays);
    END IF;
    DELETE FROM changes_default WHERE ctid = ANY (ARRAY(
        SELECT c.ctid FROM changes_default AS c
        JOIN past_partitions AS p ON p.name = 'changes_default'
        WHERE
            c.commit_time < now() - changes_kept
            AND setting.elapsed - p.since >= interval '1 day'
        LIMIT 10000
    ));
    GET DIAGNOSTICS strays = ROW_COUNT;
    IF strays > 0 THEN
        RETURN format('deleted %s rows of changes_default', strays);
    END IF;
    RETURN NULL;
END
$$;

CREATE TABLE public.aggregates (
    entity_type text NOT NULL COLLATE pg_catalog."C",
    entity_id text NOT NULL COLLATE pg_catalog."C",
    uid uuid NOT NULL,
    version bigint NOT NULL,
    state bytea NOT NULL,
    create_time timestamp with time zone NOT NULL,
    update_time timestamp with time zone NOT NULL
)
WITH (fillfactor='70');
ALTER TABLE ONLY public.aggregates ALTER COLUMN state SET STATISTICS 0;
ALTER TABLE ONLY public.aggregates ALTER COLUMN state SET STORAGE EXTERNAL;

CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);

CREATE TABLE public.backfills (
    name text NOT NULL,
    "position" text[] DEFAULT '{}'::text[] NOT NULL,
    rows_seen bigint DEFAULT 0 NOT NULL,
    rows_written bigint DEFAULT 0 NOT NULL,
    begin_time timestamp with time zone DEFAULT now() NOT NULL,
    update_time timestamp with time zone DEFAULT now() NOT NULL,
    complete_time timestamp with time zone
);

CREATE TABLE public.changes (
    entity_type text NOT NULL COLLATE pg_catalog."C",
    entity_id text NOT NULL COLLATE pg_catalog."C",
    uid uuid NOT NULL,
    version bigint NOT NULL,
    commit_time timestamp with time zone NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    batch_id uuid NOT NULL,
    request_id uuid,
    change bytea NOT NULL,
    state bytea
)
PARTITION BY RANGE (commit_time);
ALTER TABLE ONLY public.changes ALTER COLUMN change SET STATISTICS 0;
ALTER TABLE ONLY public.changes ALTER COLUMN state SET STATISTICS 0;

CREATE TABLE public.changes_default (
    entity_type text NOT NULL COLLATE pg_catalog."C",
    entity_id text NOT NULL COLLATE pg_catalog."C",
    uid uuid NOT NULL,
    version bigint NOT NULL,
    commit_time timestamp with time zone NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    batch_id uuid NOT NULL,
    request_id uuid,
    change bytea NOT NULL,
    state bytea
);
ALTER TABLE ONLY public.changes_default ALTER COLUMN change SET STATISTICS 0;
ALTER TABLE ONLY public.changes_default ALTER COLUMN state SET STATISTICS 0;

CREATE UNLOGGED TABLE public.durable_since (
    postmaster_start timestamp with time zone NOT NULL
);

CREATE TABLE public.entity_type_revisions (
    name text NOT NULL COLLATE pg_catalog."C",
    revision bigint NOT NULL,
    definition bytea,
    create_time timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.entity_types (
    name text NOT NULL COLLATE pg_catalog."C",
    revision bigint DEFAULT 0 NOT NULL,
    definition bytea,
    create_time timestamp with time zone DEFAULT now() NOT NULL,
    update_time timestamp with time zone DEFAULT now() NOT NULL
)
WITH (fillfactor='70');

CREATE TABLE public.past_partitions (
    name text NOT NULL,
    since interval NOT NULL,
    inserted bigint NOT NULL
);

CREATE TABLE public.requests (
    entity_type text NOT NULL COLLATE pg_catalog."C",
    entity_id text NOT NULL COLLATE pg_catalog."C",
    request_id uuid NOT NULL,
    commit_time timestamp with time zone NOT NULL,
    fingerprint bytea NOT NULL,
    outcome bytea
)
PARTITION BY RANGE (commit_time);
ALTER TABLE ONLY public.requests ALTER COLUMN fingerprint SET STATISTICS 0;
ALTER TABLE ONLY public.requests ALTER COLUMN outcome SET STATISTICS 0;

CREATE TABLE public.requests_default (
    entity_type text NOT NULL COLLATE pg_catalog."C",
    entity_id text NOT NULL COLLATE pg_catalog."C",
    request_id uuid NOT NULL,
    commit_time timestamp with time zone NOT NULL,
    fingerprint bytea NOT NULL,
    outcome bytea
);
ALTER TABLE ONLY public.requests_default ALTER COLUMN fingerprint SET STATISTICS 0;
ALTER TABLE ONLY public.requests_default ALTER COLUMN outcome SET STATISTICS 0;

CREATE TABLE public.retention (
    only_row boolean DEFAULT true NOT NULL,
    keep_requests interval NOT NULL,
    keep_changes interval,
    elapsed interval DEFAULT '00:00:00'::interval NOT NULL,
    look_time timestamp with time zone DEFAULT now() NOT NULL,
    set_elapsed interval DEFAULT '00:00:00'::interval NOT NULL,
    CONSTRAINT retention_keep_changes_check CHECK ((keep_changes > '00:00:00'::interval)),
    CONSTRAINT retention_keep_requests_check CHECK ((keep_requests > '00:00:00'::interval)),
    CONSTRAINT retention_only_row_check CHECK (only_row)
);

CREATE TABLE public.schema_window (
    only_row boolean DEFAULT true NOT NULL,
    oldest_build integer NOT NULL,
    CONSTRAINT schema_window_oldest_build_check CHECK ((oldest_build > 0)),
    CONSTRAINT schema_window_only_row_check CHECK (only_row)
);

CREATE TABLE public.store_epoch (
    only_row boolean DEFAULT true NOT NULL,
    epoch integer NOT NULL,
    types_generation bigint DEFAULT 0 NOT NULL,
    commits_in_doubt text[],
    timeline text,
    CONSTRAINT store_epoch_epoch_check CHECK ((epoch > 0)),
    CONSTRAINT store_epoch_only_row_check CHECK (only_row)
);

ALTER TABLE ONLY public.changes ATTACH PARTITION public.changes_default DEFAULT;

ALTER TABLE ONLY public.requests ATTACH PARTITION public.requests_default DEFAULT;

ALTER TABLE ONLY public.aggregates
    ADD CONSTRAINT aggregates_pkey PRIMARY KEY (entity_type, entity_id);

ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);

ALTER TABLE ONLY public.backfills
    ADD CONSTRAINT backfills_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.changes
    ADD CONSTRAINT changes_pkey PRIMARY KEY (entity_type, entity_id, uid, version, commit_time);

ALTER TABLE ONLY public.changes_default
    ADD CONSTRAINT changes_default_pkey PRIMARY KEY (entity_type, entity_id, uid, version, commit_time);

ALTER TABLE ONLY public.durable_since
    ADD CONSTRAINT durable_since_pkey PRIMARY KEY (postmaster_start);

ALTER TABLE ONLY public.entity_type_revisions
    ADD CONSTRAINT entity_type_revisions_pkey PRIMARY KEY (name, revision);

ALTER TABLE ONLY public.entity_types
    ADD CONSTRAINT entity_types_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.past_partitions
    ADD CONSTRAINT past_partitions_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.requests
    ADD CONSTRAINT requests_pkey PRIMARY KEY (entity_type, entity_id, request_id, commit_time);

ALTER TABLE ONLY public.requests_default
    ADD CONSTRAINT requests_default_pkey PRIMARY KEY (entity_type, entity_id, request_id, commit_time);

ALTER TABLE ONLY public.retention
    ADD CONSTRAINT retention_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY public.schema_window
    ADD CONSTRAINT schema_window_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY public.store_epoch
    ADD CONSTRAINT store_epoch_pkey PRIMARY KEY (only_row);

CREATE INDEX changes_by_transaction ON ONLY public.changes USING btree (entity_type, xid);

CREATE INDEX changes_default_entity_type_xid_idx ON public.changes_default USING btree (entity_type, xid);

ALTER INDEX public.changes_by_transaction ATTACH PARTITION public.changes_default_entity_type_xid_idx;

ALTER INDEX public.changes_pkey ATTACH PARTITION public.changes_default_pkey;

ALTER INDEX public.requests_pkey ATTACH PARTITION public.requests_default_pkey;

GRANT USAGE ON SCHEMA public TO featom_server;

REVOKE ALL ON FUNCTION public.advance_partitions(keep_requests interval) FROM PUBLIC;
GRANT ALL ON FUNCTION public.advance_partitions(keep_requests interval) TO featom_server;

REVOKE ALL ON FUNCTION public.current_timeline() FROM PUBLIC;
GRANT ALL ON FUNCTION public.current_timeline() TO featom_server;

REVOKE ALL ON FUNCTION public.dated_partitions() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.follow_timeline() FROM PUBLIC;
GRANT ALL ON FUNCTION public.follow_timeline() TO featom_server;

REVOKE ALL ON FUNCTION public.maintain_partitions(keep_requests interval, keep_changes interval) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.make_partition(parent text, unit text, starting timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.note_past_partitions() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.observe_retention(promised interval, told interval, passed interval) FROM PUBLIC;
GRANT ALL ON FUNCTION public.observe_retention(promised interval, told interval, passed interval) TO featom_server;

REVOKE ALL ON FUNCTION public.partition_name(parent text, unit text, starting timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.partition_step(keep_requests interval, keep_changes interval) FROM PUBLIC;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.aggregates TO featom_server;

GRANT SELECT ON TABLE public.alembic_version TO featom_server;

GRANT SELECT,INSERT,DELETE ON TABLE public.changes TO featom_server;

GRANT SELECT,INSERT,DELETE ON TABLE public.durable_since TO featom_server;

GRANT SELECT,INSERT ON TABLE public.entity_type_revisions TO featom_server;

GRANT SELECT,INSERT,UPDATE ON TABLE public.entity_types TO featom_server;

GRANT SELECT,INSERT,DELETE ON TABLE public.requests TO featom_server;

GRANT SELECT ON TABLE public.retention TO featom_server;

GRANT SELECT ON TABLE public.schema_window TO featom_server;

GRANT SELECT ON TABLE public.store_epoch TO featom_server;

GRANT UPDATE(types_generation) ON TABLE public.store_epoch TO featom_server;

GRANT UPDATE(commits_in_doubt) ON TABLE public.store_epoch TO featom_server;
