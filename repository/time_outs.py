"""Times as PostgreSQL's settings have them."""

from typing import Final

_LONGEST: Final = 2**31 - 1


def milliseconds(seconds: float) -> str:
    """For a time-out: at least 1, as 0 would be none, and no more than PostgreSQL takes."""
    return str(min(max(1, int(seconds * 1_000)), _LONGEST))
