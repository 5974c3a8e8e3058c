"""What the dashboard shows: rows of panels, each with its questions to Prometheus."""

from collections.abc import Mapping
from typing import Final, NamedTuple

_SERVERS: Final = 'job=~"$job", instance=~"$instance"'


def of(metric: str, more: str = "") -> str:
    """A metric of the chosen servers."""
    return f"{metric}{{{_SERVERS}{', ' if more else ''}{more}}}"


def rate(metric: str, more: str = "") -> str:
    return f"rate({of(metric, more)}[$__rate_interval])"


def increase(metric: str) -> str:
    return f"increase({of(metric)}[$__rate_interval])"


def summed(expression: str, by: str = "") -> str:
    """The sum of all, or one for each value of the labels `by`."""
    return f"sum by ({by}) ({expression})" if by else f"sum({expression})"


def filled(metric: str) -> str:
    """How much of what there may be there is."""
    return f"{of(metric)} / {of(f'{metric}_limit')}"


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


def panel(
    title: str, meaning: str, unit: str, queries: Mapping[str, str], *, is_number: bool = False
) -> Panel:
    """A panel; `queries` are expressions by their legends."""
    asked = tuple(Query(expression, legend) for legend, expression in queries.items())
    return Panel(title, meaning, unit, asked, is_number)


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
            panel(
                "Servers ready",
                "Servers whose readiness is SERVING.",
                "short",
                {"ready": summed(of("featom_ready"))},
                is_number=True,
            ),
            panel(
                "Calls that fail through us",
                "Calls that end with a code that is not the caller's doing. The goal is 0.1 %.",
                "percentunit",
                {
                    "failed": summed(rate("grpc_server_handled_total", FAILED))
                    + f" / sum({rate('grpc_server_handled_total')})"
                },
                is_number=True,
            ),
            panel(
                "Versions",
                "More than one while a rollout is under way.",
                "short",
                {"{{version}}": f"count by (version) ({of('featom_build_info')})"},
                is_number=True,
            ),
            panel(
                "Schema",
                "The revisions that the database was last seen at.",
                "short",
                {"{{revision}}": f"count by (revision) ({of('featom_schema_info')})"},
                is_number=True,
            ),
        ),
    ),
    Row(
        "Traffic",
        (
            panel(
                "Calls",
                "Calls that begin, by method.",
                "reqps",
                {"{{grpc_method}}": summed(rate("grpc_server_started_total"), "grpc_method")},
            ),
            panel(
                "Updates on streams",
                "Messages that come and answers that go on StreamUpdateFeatures.",
                "mps",
                {
                    "received": summed(rate("grpc_server_msg_received_total", STREAMS)),
                    "answered": summed(rate("grpc_server_msg_sent_total", STREAMS)),
                },
            ),
            panel(
                "Codes",
                "How calls end, other than well.",
                "reqps",
                {
                    "{{grpc_code}}": summed(rate("grpc_server_handled_total", NOT_OK), "grpc_code")
                    + " > 0"
                },
            ),
            panel(
                "Reasons",
                "Errors that callers were answered with, in streams too. docs/errors.md has each.",
                "reqps",
                {"{{reason}}": summed(rate("featom_errors_total"), "reason") + " > 0"},
            ),
        ),
    ),
    Row(
        "Latency",
        (
            panel(
                "Updates",
                "UpdateFeatures in the server, from its beginning to the answer after the commit.",
                "s",
                {
                    f"p{share * 100:g}": quantile(
                        share,
                        "grpc_server_handling_seconds",
                        more='grpc_method="UpdateFeatures"',
                    )
                    for share in (0.5, 0.95, 0.99)
                },
            ),
            panel(
                "Reads",
                "GetAggregate in the server.",
                "s",
                {
                    f"p{share * 100:g}": quantile(
                        share,
                        "grpc_server_handling_seconds",
                        more='grpc_method="GetAggregate"',
                    )
                    for share in (0.5, 0.95, 0.99)
                },
            ),
            panel(
                "All unary methods",
                "One of a hundred takes longer.",
                "s",
                {
                    "{{grpc_method}}": quantile(
                        0.99,
                        "grpc_server_handling_seconds",
                        "grpc_method",
                        'grpc_type="unary"',
                    )
                },
            ),
            panel(
                "Wait for a lane",
                "From the arrival of an update to its first attempt: the part of its time in which"
                " nothing happens to it.",
                "s",
                {
                    f"p{share * 100:g}": quantile(share, "featom_pipeline_queue_wait_seconds")
                    for share in (0.5, 0.99)
                },
            ),
        ),
    ),
    Row(
        "Pipeline",
        (
            panel(
                "Batch size",
                "Commands in an attempt to commit, and keys in a query. It grows with the load.",
                "short",
                {
                    "commands, mean": mean("featom_pipeline_batch_size"),
                    "commands, p99": quantile(0.99, "featom_pipeline_batch_size"),
                    "keys read, mean": mean("featom_read_batch_size"),
                },
            ),
            panel(
                "Lanes at work",
                "Share of their time: at 1 nothing more can be written by this server. And of"
                " batches those that followed right behind another of the same hot key.",
                "percentunit",
                {
                    "{{instance}}": f"{rate('featom_pipeline_lane_busy_seconds_total')}"
                    f" / {of('featom_pipeline_lanes')}",
                    "right behind another {{instance}}": (
                        f"{rate('featom_pipeline_chained_batches_total')}"
                        f" / {rate('featom_pipeline_batch_size_count')}"
                    ),
                },
            ),
            panel(
                "Conflicts",
                "Commands that are tried again because another server was faster, of all attempts.",
                "percentunit",
                {
                    "{{instance}}": summed(rate("featom_pipeline_conflicts_total"), "instance")
                    + f" / sum by (instance) ({rate('featom_pipeline_batch_size_sum')})"
                },
            ),
            panel(
                "Waiting",
                "Updates and reads in no batch yet, as a share of what may wait. At 1 callers get"
                " OVERLOADED.",
                "percentunit",
                {
                    "updates {{instance}}": filled("featom_pipeline_waiting"),
                    "reads {{instance}}": filled("featom_read_waiting"),
                },
            ),
        ),
    ),
    Row(
        "Database",
        (
            panel(
                "Time on a connection",
                "Transactions (writing) and single statements (reading): one of a hundred is"
                " slower.",
                "s",
                {"{{pool}}": quantile(0.99, "featom_database_work_seconds", "pool")},
            ),
            panel(
                "Work",
                "Transactions and single statements.",
                "ops",
                {"{{pool}}": summed(rate("featom_database_work_seconds_count"), "pool")},
            ),
            panel(
                "Changes read for the past",
                "By reads as of a time or version, and by lists of versions.",
                "ops",
                {"{{instance}}": summed(rate("featom_past_changes_total"), "instance")},
            ),
            panel(
                "Bytes read for the past",
                "The size of these changes.",
                "Bps",
                {"{{instance}}": summed(rate("featom_past_bytes_total"), "instance")},
            ),
            panel(
                "Failures",
                "By what is done about them and by SQLSTATE: again is normal where writers race.",
                "ops",
                {
                    "{{verdict}} {{sqlstate}}": summed(
                        rate("featom_database_failures_total"), "verdict, sqlstate"
                    )
                },
            ),
            panel(
                "Connections",
                "Those in use, and how many there may be.",
                "short",
                {
                    "{{pool}} in use": summed(of("featom_database_connections", IN_USE), "pool"),
                    "{{pool}} limit": summed(of("featom_database_connections_limit"), "pool"),
                },
            ),
            panel(
                "Not safe from crashes",
                "Settings of PostgreSQL that are off, so a crash of its machine loses or damages"
                " what was acknowledged.",
                "short",
                {
                    "{{setting}} is off": f"max by (setting) ({of('featom_database_crash_unsafe')})"
                    " > 0"
                },
            ),
            panel(
                "Clocks apart",
                "How far the database's clock is ahead of that of each server, and by how much that"
                " may be wrong. Commit times and ttl go by the database's.",
                "s",
                {
                    "{{instance}}": of("featom_database_clock_offset_seconds"),
                    "{{instance}}, may be off": of("featom_database_clock_offset_error_seconds"),
                },
            ),
            panel(
                "Kept",
                "How long the store keeps request ids, at least, and changes; infinite: no limit.",
                "s",
                {
                    "request ids": f"max({of('featom_request_id_retention_seconds')})",
                    "changes": f"max({of('featom_change_retention_seconds')})",
                },
                is_number=True,
            ),
        ),
    ),
    Row(
        "Saturation",
        (
            panel(
                "Event loop late",
                "How late a task is woken, one time of a hundred: what every call waits for.",
                "s",
                {"{{instance}}": quantile(0.99, "featom_event_loop_lag_seconds", "instance")},
            ),
            panel(
                "CPU",
                "Cores. One process has one event loop, so a little over one is all that it can"
                " use.",
                "short",
                {"{{instance}}": rate("process_cpu_seconds_total")},
            ),
            panel(
                "Memory",
                "Resident.",
                "bytes",
                {"{{instance}}": of("process_resident_memory_bytes")},
            ),
            panel(
                "Answers not taken",
                "Bytes of answers that callers have not taken yet, as a share of what there may"
                " be. At 1 reads of that size wait, and get OVERLOADED.",
                "percentunit",
                {
                    "{{size}} {{instance}}": f"{of('featom_unsent_answer_bytes')}"
                    f" / {of('featom_unsent_answer_bytes_limit')}"
                },
            ),
            panel(
                "Open files",
                "Connections of clients and to the database, for the most part.",
                "short",
                {
                    "{{instance}}": of("process_open_fds"),
                    "{{instance}} limit": of("process_max_fds"),
                },
            ),
        ),
    ),
    Row(
        "Guards",
        (
            panel(
                "Certificates last",
                "Until the server's certificate ends, and the first of those by which clients are"
                " known.",
                "s",
                {
                    "{{certificate}} {{instance}}": of(
                        "featom_tls_certificate_expiry_timestamp_seconds"
                    )
                    + " - time()"
                },
            ),
            panel(
                "Not renewed",
                "Files that changed and cannot be used, and keys of tokens that cannot be fetched."
                " What was there before is in use still.",
                "ops",
                {
                    "{{file}} {{instance}}": rate("featom_reload_failures_total"),
                    "keys {{instance}}": rate("featom_jwks_fetch_failures_total"),
                },
            ),
            panel(
                "Lines lost",
                "Lines that the audit log and the log lack, and those that wait for the audit log.",
                "short",
                {
                    "audit log {{instance}}": increase("featom_audit_lines_lost_total"),
                    "log {{instance}}": increase("featom_log_lines_lost_total"),
                    "waiting {{instance}}": of("featom_audit_lines_waiting"),
                },
            ),
            panel(
                "Tasks that failed",
                "Tasks of the server's own that failed by a fault of ours, and were begun again.",
                "short",
                {"{{task}} {{instance}}": increase("featom_task_failures_total")},
            ),
            panel(
                "Stopping",
                "Servers that drain: they finish what they have, and take nothing new.",
                "short",
                {"{{instance}}": of("featom_draining")},
            ),
        ),
    ),
)
