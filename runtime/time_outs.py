"""Time-outs as PostgreSQL and gRPC take them."""

from typing import Final

_LONGEST: Final = 2**31 - 1


def milliseconds(seconds: float) -> int:
    """At least 1, as 0 would be no time-out at all, and no more than fits."""
    return min(max(1, int(seconds * 1_000)), _LONGEST)
