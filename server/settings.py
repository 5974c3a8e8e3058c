"""Everything that can be set, in one frozen object."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from formats.addresses import host_of, is_loopback
from server.security_settings import SecuritySettings, exposure, security_problems
from server.setting import problems_of, setting


class SettingsRefused(Exception):
    """These settings cannot be served; the message says which and why, for people."""


_NOTICED_WITHIN: Final = 3.0
"""Seconds in which load balancers and clients that watch the health of servers see it change."""

# Beyond these, numbers do not fit into what gRPC, or PostgreSQL's clock, counts with.
_MOST_WAITING: Final = 2**28 - 1
_MOST_MESSAGE_BYTES: Final = 2**30 - 1
_MOST_HOURS: Final = 87_600


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(SecuritySettings):
    """How to serve. `featom serve --help` and docs/settings.md are made from this."""

    listen: str = setting("127.0.0.1:50051", "HOST:PORT to serve gRPC on.", is_address=True)
    health_listen: str | None = setting(
        None,
        "HOST:PORT to serve health on as well, alone and in plaintext, for probes.",
        is_address=True,
    )
    metrics_listen: str | None = setting(
        None,
        "HOST:PORT to serve metrics for Prometheus on, in plaintext.",
        unset="no metrics",
        is_address=True,
    )
    dsn: str | None = setting(
        None,
        "PostgreSQL 15 or later, as postgresql://ROLE@HOST/DATABASE or as libpq's keywords;"
        " the role that migrates owns the schema, that of servers need not.",
        unset="a PostgreSQL of the server's own",
    )
    password_from: str | None = setting(
        None,
        "With a DSN: file:PATH, or entra for a token of Azure workload identity;"
        " asked for at each connection, so that it may change.",
    )
    dsn_from: str = "--dsn"
    """Where the DSN comes from, for people; no setting of its own."""
    data_dir: Path = setting(Path("data"), "Without a DSN: where to keep a PostgreSQL of its own.")
    allow_insecure: bool = setting(
        False, "Listen beyond loopback without encryption, or without knowing the callers."
    )
    log_level: str = setting(
        "info",
        "debug (logs each call), info (logs each call that fails), warning or error.",
        choices=("debug", "info", "warning", "error", "critical"),
    )
    log_format: str = setting("text", "text, or json: an object a line.", choices=("text", "json"))
    tracing: bool = setting(
        False,
        "Send traces of OpenTelemetry, as its OTEL_* variables say;"
        " needs the extra tracing of featom.",
    )
    lanes: int = setting(2, "Transactions that write at a time.", above=0)
    readers: int = setting(2, "Queries that read at a time.", above=0)
    max_waiting: int = setting(
        8_192,
        "Updates, and reads, that may wait before callers get UNAVAILABLE.",
        above=0,
        at_most=_MOST_WAITING,
    )
    max_message_bytes: int = setting(
        4 * 1_024 * 1_024,
        "The largest request; a larger one gets RESOURCE_EXHAUSTED.",
        above=0,
        at_most=_MOST_MESSAGE_BYTES,
    )
    statement_timeout: float = setting(10.0, "Seconds for one SQL statement.", above=0)
    request_id_hours: float = setting(
        24.0,
        "How long request ids are known, at least: see featom retention.",
        above=0,
        at_most=_MOST_HOURS,
    )
    probe_interval: float = setting(0.5, "Seconds between looks at the database's health.", above=0)
    drain_delay: float | None = setting(
        None,
        "Seconds between NOT_SERVING and the end, for load balancers and clients to see it.",
        unset="3 beyond loopback, 0 on it",
        at_least=0,
    )
    drain_grace: float = setting(20.0, "Seconds for calls to finish.", above=0)
    max_connection_age: float = setting(
        120.0, "Seconds after which clients must reconnect.", above=0
    )

    @property
    def logs_json(self) -> bool:
        return self.log_format.lower() == "json"

    @property
    def seconds_to_be_noticed(self) -> float:
        """How long a server that stops still serves, so that nobody sends it calls any more."""
        if self.drain_delay is not None:
            return self.drain_delay
        return 0.0 if is_loopback(host_of(self.listen) or "") else _NOTICED_WITHIN

    def __post_init__(self) -> None:
        """Raises SettingsRefused, naming everything that is wrong."""
        if problems := list(self._problems()):
            raise SettingsRefused("; ".join(problems))

    def _problems(self) -> Iterator[str]:
        yield from problems_of(self)
        # The ports for health and metrics may be open beyond loopback: they give nothing away of
        # what is stored, and change nothing.
        host = host_of(self.listen)
        if host is not None and not self.allow_insecure and not is_loopback(host):
            yield from exposure(host, self)
        yield from security_problems(self)
        if self.max_waiting_bytes < self.max_message_bytes:
            yield "max_waiting_bytes must not be less than max_message_bytes"
