"""PostgreSQL's settings for a small durable database."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

PORT: Final = 5432  # only a part of the socket's name

SETTINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "listen_addresses": "",
        "port": str(PORT),
        "max_connections": "100",
        # Durability, said aloud.
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "shared_buffers": "256MB",
        "wal_buffers": "16MB",
        "max_wal_size": "2GB",
        # SERIALIZABLE must not run out of memory for predicate locks.
        "max_pred_locks_per_transaction": "512",
        # Statements are short: neither pays.
        "jit": "off",
        "max_parallel_workers_per_gather": "0",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] ",
        # "log" ranks above "error": callers get their errors themselves, and serialization failures
        # would fill the disk.
        "log_min_messages": "log",
        "log_checkpoints": "off",
    }
)


def render(settings: Mapping[str, str]) -> str:
    """The text of a configuration file."""
    return "".join(f"{name} = {quoted(value)}\n" for name, value in settings.items())


def quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
