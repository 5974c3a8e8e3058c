"""Points in time.

A timestamp is an integer count of nanoseconds since 1970-01-01T00:00:00Z: exact, ordered and cheap,
where `datetime` would round what callers send to microseconds.
"""

from typing import Final, TypeAlias

Timestamp: TypeAlias = int
"""Nanoseconds since the Unix epoch, UTC."""

MICROSECOND: Final = 1_000
SECOND: Final = 1_000_000_000

EARLIEST: Final[Timestamp] = -62_135_596_800 * SECOND
"""0001-01-01T00:00:00Z."""

LATEST: Final[Timestamp] = 253_402_300_800 * SECOND - 1
"""The last nanosecond of 9999-12-31."""


def timestamp_problem(timestamp: Timestamp) -> str | None:
    """What makes a timestamp impossible to store, or None."""
    return None if EARLIEST <= timestamp <= LATEST else "must lie in the years 1 to 9999"
