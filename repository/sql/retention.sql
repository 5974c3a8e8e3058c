-- How long request ids and changes are kept. The functions are of migration 0006.

-- once: observe_retention
-- What this server promises, the elapsed time that it was told the last time (null: it has just
-- started), and what has passed since by its own monotonic clock.
SELECT kept_requests, kept_changes, elapsed_now, requests_before, database_time
FROM observe_retention(promised => $1, told => $2, passed => $3);

-- once: advance_partitions
SELECT advance_partitions(keep_requests => $1);

-- query: read_retention
SELECT keep_requests, keep_changes FROM retention;

-- idempotent: set_retention
-- The owner's. What is not long ago was set is not acted upon yet: see partition_step.
UPDATE retention
SET keep_requests = $1, keep_changes = $2, set_elapsed = elapsed;
