"""What the dashboard shows: rows of panels, each with its questions to Prometheus."""

from typing import Final, NamedTuple

_SERVERS: Final = 'job=~"$job", instance=~"$instance"'


def of(metric: str, more: str = "") -> str:
    """A metric of the chosen servers."""
    return f"{metric}{{{_SERVERS}{', ' if more else ''}{more}}}"


def rate(metric: str, more: str = "") -> str:
    return f"rate({of(metric, more)}[$__rate_interval])"


def quantile(share: float, metric: str, by: str = "", more: str = "") -> str:
    """A quantile of a histogram, for each value of the label `by`."""
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) ({rate(f'{metric}_bucket', more)}))"


def mean(metric: str) -> str:
    return f"sum({rate(f'{metric}_sum')}) / sum({rate(f'{metric}_count')})"


class Query(NamedTuple):
    expression: str
    legend: str


class Panel(NamedTuple):
    title: str
    meaning: str
    unit: str
    queries: tuple[Query, ...]
    is_number: bool = False
    """Shows the present value alone."""


class Row(NamedTuple):
    title: str
    panels: tuple[Panel, ...]


FAILED: Final = 'grpc_code=~"Unavailable|DeadlineExceeded|Internal|Unknown|DataLoss"'
STREAMS: Final = 'grpc_type="bidi_stream"'
NOT_OK: Final = 'grpc_code!="OK"'
IN_USE: Final = 'state="in_use"'

ROWS: Final = (
    Row(
        "Now",
        (
            Panel(
                "Servers ready",
                "Servers whose readiness is SERVING.",
                "short",
                (Query(f"sum({of('featom_ready')})", "ready"),),
                is_number=True,
            ),
            Panel(
                "Calls that fail through us",
                "Calls that end with a code that is not the caller's doing. The goal is 0.1 %.",
                "percentunit",
                (
                    Query(
                        f"sum({rate('grpc_server_handled_total', FAILED)})"
                        f" / sum({rate('grpc_server_handled_total')})",
                        "failed",
                    ),
                ),
                is_number=True,
            ),
            Panel(
                "Versions",
                "More than one while a rollout is under way.",
                "short",
                (Query(f"count by (version) ({of('featom_build_info')})", "{{version}}"),),
                is_number=True,
            ),
            Panel(
                "Schema",
                "The revisions that the database was last seen at.",
                "short",
                (Query(f"count by (revision) ({of('featom_schema_info')})", "{{revision}}"),),
                is_number=True,
            ),
        ),
    ),
    Row(
        "Traffic",
        (
            Panel(
                "Calls",
                "Calls that begin, by method.",
                "reqps",
                (
                    Query(
                        f"sum by (grpc_method) ({rate('grpc_server_started_total')})",
                        "{{grpc_method}}",
                    ),
                ),
            ),
            Panel(
                "Updates on streams",
                "Messages that come and answers that go on StreamUpdateFeatures.",
                "mps",
                (
                    Query(
                        f"sum({rate('grpc_server_msg_received_total', STREAMS)})",
                        "received",
                    ),
                    Query(
                        f"sum({rate('grpc_server_msg_sent_total', STREAMS)})",
                        "answered",
                    ),
                ),
            ),
            Panel(
                "Codes",
                "How calls end, other than well.",
                "reqps",
                (
                    Query(
                        f"sum by (grpc_code) ({rate('grpc_server_handled_total', NOT_OK)}) > 0",
                        "{{grpc_code}}",
                    ),
                ),
            ),
            Panel(
                "Reasons",
                "Errors that callers were answered with, in streams too. docs/errors.md has each.",
                "reqps",
                (Query(f"sum by (reason) ({rate('featom_errors_total')}) > 0", "{{reason}}"),),
            ),
        ),
    ),
    Row(
        "Latency",
        (
            Panel(
                "Updates",
                "UpdateFeatures in the server, from its beginning to the answer after the commit.",
                "s",
                tuple(
                    Query(
                        quantile(
                            share,
                            "grpc_server_handling_seconds",
                            more='grpc_method="UpdateFeatures"',
                        ),
                        f"p{share * 100:g}",
                    )
                    for share in (0.5, 0.95, 0.99)
                ),
            ),
            Panel(
                "Reads",
                "GetAggregate in the server.",
                "s",
                tuple(
                    Query(
                        quantile(
                            share,
                            "grpc_server_handling_seconds",
                            more='grpc_method="GetAggregate"',
                        ),
                        f"p{share * 100:g}",
                    )
                    for share in (0.5, 0.95, 0.99)
                ),
            ),
            Panel(
                "All unary methods",
                "One of a hundred takes longer.",
                "s",
                (
                    Query(
                        quantile(
                            0.99,
                            "grpc_server_handling_seconds",
                            "grpc_method",
                            'grpc_type="unary"',
                        ),
                        "{{grpc_method}}",
                    ),
                ),
            ),
            Panel(
                "Wait for a lane",
                "From the arrival of an update to its first attempt: the part of its time in which"
                " nothing happens to it.",
                "s",
                tuple(
                    Query(
                        quantile(share, "featom_pipeline_queue_wait_seconds"), f"p{share * 100:g}"
                    )
                    for share in (0.5, 0.99)
                ),
            ),
        ),
    ),
    Row(
        "Pipeline",
        (
            Panel(
                "Batch size",
                "Commands in an attempt to commit, and keys in a query. It grows with the load.",
                "short",
                (
                    Query(mean("featom_pipeline_batch_size"), "commands, mean"),
                    Query(quantile(0.99, "featom_pipeline_batch_size"), "commands, p99"),
                    Query(mean("featom_read_batch_size"), "keys read, mean"),
                ),
            ),
            Panel(
                "Lanes at work",
                "Share of their time: at 1 nothing more can be written by this server. And of"
                " batches those that followed right behind another of the same hot key.",
                "percentunit",
                (
                    Query(
                        f"{rate('featom_pipeline_lane_busy_seconds_total')}"
                        f" / {of('featom_pipeline_lanes')}",
                        "{{instance}}",
                    ),
                    Query(
                        f"{rate('featom_pipeline_chained_batches_total')}"
                        f" / {rate('featom_pipeline_batch_size_count')}",
                        "right behind another {{instance}}",
                    ),
                ),
            ),
            Panel(
                "Conflicts",
                "Commands that are tried again because another server was faster, of all attempts.",
                "percentunit",
                (
                    Query(
                        f"sum by (instance) ({rate('featom_pipeline_conflicts_total')})"
                        f" / sum by (instance) ({rate('featom_pipeline_batch_size_sum')})",
                        "{{instance}}",
                    ),
                ),
            ),
            Panel(
                "Waiting",
                "Updates and reads in no batch yet, as a share of what may wait. At 1 callers get"
                " OVERLOADED.",
                "percentunit",
                (
                    Query(
                        f"{of('featom_pipeline_waiting')} / {of('featom_pipeline_waiting_limit')}",
                        "updates {{instance}}",
                    ),
                    Query(
                        f"{of('featom_read_waiting')} / {of('featom_read_waiting_limit')}",
                        "reads {{instance}}",
                    ),
                ),
            ),
        ),
    ),
    Row(
        "Database",
        (
            Panel(
                "Time on a connection",
                "Transactions (writing) and single statements (reading): one of a hundred is"
                " slower.",
                "s",
                (Query(quantile(0.99, "featom_database_work_seconds", "pool"), "{{pool}}"),),
            ),
            Panel(
                "Work",
                "Transactions and single statements.",
                "ops",
                (
                    Query(
                        f"sum by (pool) ({rate('featom_database_work_seconds_count')})",
                        "{{pool}}",
                    ),
                ),
            ),
            Panel(
                "Failures",
                "By what is done about them and by SQLSTATE: again is normal where writers race.",
                "ops",
                (
                    Query(
                        f"sum by (verdict, sqlstate) ({rate('featom_database_failures_total')})",
                        "{{verdict}} {{sqlstate}}",
                    ),
                ),
            ),
            Panel(
                "Connections",
                "Those in use, and how many there may be.",
                "short",
                (
                    Query(
                        f"sum by (pool) ({of('featom_database_connections', IN_USE)})",
                        "{{pool}} in use",
                    ),
                    Query(
                        f"sum by (pool) ({of('featom_database_connections_limit')})",
                        "{{pool}} limit",
                    ),
                ),
            ),
            Panel(
                "Not safe from crashes",
                "Settings of PostgreSQL that are off, so a crash of its machine loses or damages"
                " what was acknowledged.",
                "short",
                (
                    Query(
                        f"max by (setting) ({of('featom_database_crash_unsafe')}) > 0",
                        "{{setting}} is off",
                    ),
                ),
            ),
            Panel(
                "Clocks apart",
                "How far the database's clock is ahead of that of each server, and by how much that"
                " may be wrong. Commit times and ttl go by the database's.",
                "s",
                (
                    Query(of("featom_database_clock_offset_seconds"), "{{instance}}"),
                    Query(
                        of("featom_database_clock_offset_error_seconds"), "{{instance}}, may be off"
                    ),
                ),
            ),
            Panel(
                "Kept",
                "How long the store keeps request ids, at least, and changes; infinite: no limit.",
                "s",
                (
                    Query(f"max({of('featom_request_id_retention_seconds')})", "request ids"),
                    Query(f"max({of('featom_change_retention_seconds')})", "changes"),
                ),
                is_number=True,
            ),
        ),
    ),
    Row(
        "Saturation",
        (
            Panel(
                "Event loop late",
                "How late a task is woken, one time of a hundred: what every call waits for.",
                "s",
                (
                    Query(
                        quantile(0.99, "featom_event_loop_lag_seconds", "instance"), "{{instance}}"
                    ),
                ),
            ),
            Panel(
                "CPU",
                "Cores. One process has one event loop, so a little over one is all that it can"
                " use.",
                "short",
                (Query(rate("process_cpu_seconds_total"), "{{instance}}"),),
            ),
            Panel(
                "Memory",
                "Resident.",
                "bytes",
                (Query(of("process_resident_memory_bytes"), "{{instance}}"),),
            ),
            Panel(
                "Answers not taken",
                "Bytes of answers that callers have not taken yet, as a share of what there may"
                " be. At 1 reads of that size wait, and get OVERLOADED.",
                "percentunit",
                (
                    Query(
                        f"{of('featom_unsent_answer_bytes')}"
                        f" / {of('featom_unsent_answer_bytes_limit')}",
                        "{{size}} {{instance}}",
                    ),
                ),
            ),
            Panel(
                "Open files",
                "Connections of clients and to the database, for the most part.",
                "short",
                (
                    Query(of("process_open_fds"), "{{instance}}"),
                    Query(of("process_max_fds"), "{{instance}} limit"),
                ),
            ),
        ),
    ),
    Row(
        "Guards",
        (
            Panel(
                "Certificates last",
                "Until the server's certificate ends, and the first of those by which clients are"
                " known.",
                "s",
                (
                    Query(
                        f"{of('featom_tls_certificate_expiry_timestamp_seconds')} - time()",
                        "{{certificate}} {{instance}}",
                    ),
                ),
            ),
            Panel(
                "Not renewed",
                "Files that changed and cannot be used, and keys of tokens that cannot be fetched."
                " What was there before is in use still.",
                "ops",
                (
                    Query(rate("featom_reload_failures_total"), "{{file}} {{instance}}"),
                    Query(rate("featom_jwks_fetch_failures_total"), "keys {{instance}}"),
                ),
            ),
            Panel(
                "Lines lost",
                "Lines that the audit log and the log lack, and those that wait for the audit log.",
                "short",
                (
                    Query(
                        f"increase({of('featom_audit_lines_lost_total')}[$__rate_interval])",
                        "audit log {{instance}}",
                    ),
                    Query(
                        f"increase({of('featom_log_lines_lost_total')}[$__rate_interval])",
                        "log {{instance}}",
                    ),
                    Query(of("featom_audit_lines_waiting"), "waiting {{instance}}"),
                ),
            ),
            Panel(
                "Tasks that failed",
                "Tasks of the server's own that failed by a fault of ours, and were begun again.",
                "short",
                (
                    Query(
                        f"increase({of('featom_task_failures_total')}[$__rate_interval])",
                        "{{task}} {{instance}}",
                    ),
                ),
            ),
            Panel(
                "Stopping",
                "Servers that drain: they finish what they have, and take nothing new.",
                "short",
                (Query(of("featom_draining"), "{{instance}}"),),
            ),
        ),
    ),
)
