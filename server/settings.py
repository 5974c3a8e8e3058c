"""Everything that can be set, in one frozen object."""

import math
from dataclasses import dataclass
from pathlib import Path

from server.addresses import host_of, is_loopback
from server.security_settings import SecuritySettings, exposure, security_problems


class SettingsRefused(Exception):
    """These settings cannot be served; the message says which and why, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(SecuritySettings):
    """How to serve. `featom serve --help` describes each setting."""

    listen: str = "127.0.0.1:50051"
    health_listen: str | None = None
    """A second port, for health alone; None: only the first one tells it."""
    metrics_listen: str | None = None
    """A port for Prometheus; None: nothing is counted for it."""
    dsn: str | None = None
    """None: run a PostgreSQL of our own in `data_dir`."""
    password_from: str | None = None
    """`file:PATH` or `entra`; None: the password is in the DSN, or in libpq's variables."""
    data_dir: Path = Path("data")
    allow_insecure: bool = False
    log_level: str = "info"
    log_format: str = "text"
    tracing: bool = False
    lanes: int = 2
    readers: int = 2
    max_waiting: int = 8_192
    max_message_bytes: int = 4 * 1_024 * 1_024
    statement_timeout: float = 10.0
    request_id_hours: float = 24.0
    probe_interval: float = 0.5
    drain_delay: float | None = None
    """None: long enough to be noticed, if others than this machine may be there to notice."""
    drain_grace: float = 20.0
    max_connection_age: float = 120.0

    @property
    def seconds_to_be_noticed(self) -> float:
        """How long a server that stops still serves, so that nobody sends it calls any more."""
        if self.drain_delay is not None:
            return self.drain_delay
        return 0.0 if is_loopback(host_of(self.listen) or "") else _NOTICED_WITHIN

    def __post_init__(self) -> None:
        """Raises SettingsRefused, naming everything that is wrong."""
        problems = [
            f"{name} must be more than 0, not {getattr(self, name)}"
            for name in _POSITIVE
            if not 0 < getattr(self, name) < math.inf
        ]
        problems += [
            f"{name} must be at most {most:,}, not {getattr(self, name):,}"
            for name, most in _AT_MOST.items()
            if most < getattr(self, name) < math.inf
        ]
        if self.drain_delay is not None and not 0 <= self.drain_delay < math.inf:
            problems.append(f"drain_delay must be 0 or more, not {self.drain_delay}")
        if self.log_level.upper() not in _LOG_LEVELS:
            problems.append(f"log_level must be one of {', '.join(_LOG_LEVELS)}")
        if self.log_format not in _LOG_FORMATS:
            problems.append(f"log_format must be one of {', '.join(_LOG_FORMATS)}")
        # Both may be told beyond loopback: they give nothing away of what is stored, and change
        # nothing.
        for name in ("health_listen", "metrics_listen"):
            address = getattr(self, name)
            if address is not None and host_of(address) is None:
                problems.append(f"{name} must be HOST:PORT, not {address!r}")
        host = host_of(self.listen)
        if host is None:
            problems.append(f"listen must be HOST:PORT, not {self.listen!r}")
        elif not self.allow_insecure and not is_loopback(host):
            problems += exposure(host, self)
        problems += security_problems(self)
        if self.max_waiting_bytes < self.max_message_bytes:
            problems.append("max_waiting_bytes must not be less than max_message_bytes")
        if problems:
            raise SettingsRefused("; ".join(problems))


_LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

_LOG_FORMATS = ("text", "json")

_NOTICED_WITHIN = 3.0
"""Seconds in which load balancers and clients that watch the health of servers see it change."""

_POSITIVE = (
    "lanes",
    "readers",
    "max_waiting",
    "max_message_bytes",
    "statement_timeout",
    "request_id_hours",
    "probe_interval",
    "drain_grace",
    "max_connection_age",
    "max_waiting_bytes",
    "max_unsent_bytes",
    "max_streams",
    "handshake_timeout",
)


# Beyond these, numbers do not fit into what gRPC, or PostgreSQL's clock, counts with.
_AT_MOST = {
    "max_waiting": 2**28 - 1,
    "max_message_bytes": 2**30 - 1,
    "max_streams": 2**31 - 1,
    "request_id_hours": 87_600,
}
