-- What somebody who looks after a database wants to know of it.

-- query: sizes
SELECT now() AS clock, pg_database_size(current_database()) AS bytes;

-- query: partitions
-- Of each table how many partitions of days or months there are, where the last one ends, and whether
-- rows are in the default one because their own was missing.
SELECT
    p.parent,
    count(*) FILTER (WHERE p.name <> p.parent || '_default') AS partitions,
    max(p.upper_bound) FILTER (WHERE p.name <> p.parent || '_default') AS reaches,
    bool_or(p.name = p.parent || '_default') AS default_has_rows
FROM dated_partitions() AS p
GROUP BY p.parent
ORDER BY p.parent;
