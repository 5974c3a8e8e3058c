-- What somebody who looks after a database wants to know of it.

-- query: database_size
SELECT now() AS clock, pg_database_size(current_database()) AS bytes;

-- query: partition_counts
-- Of each table how many partitions of days or months there are, where the last one begins, and the
-- bytes of the default one, where rows are whose own was missing. From the catalogue alone: the role
-- of servers may read no partition by itself.
SELECT
    p.relname::text AS parent,
    count(*) FILTER (WHERE c.relname ~ '_[0-9]{8}$') AS partitions,
    max(to_date(right(c.relname, 8), 'YYYYMMDD')) FILTER (
        WHERE c.relname ~ '_[0-9]{8}$'
    ) AS newest,
    coalesce(
        sum(pg_relation_size(c.oid)) FILTER (WHERE c.relname = p.relname || '_default'), 0
    )::bigint AS default_bytes
FROM pg_inherits AS i
JOIN pg_class AS c ON c.oid = i.inhrelid
JOIN pg_class AS p ON p.oid = i.inhparent
WHERE i.inhparent IN (to_regclass('requests'), to_regclass('changes'))
GROUP BY p.relname
ORDER BY p.relname;
