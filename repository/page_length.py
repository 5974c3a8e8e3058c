"""How much of a list one page has."""

from collections.abc import Iterable
from itertools import accumulate


def page_length(sizes: Iterable[int], limit: int, max_bytes: int) -> int:
    """How many of the first items make a page: up to `limit`, no more than have `max_bytes` in all,
    but one in any case."""
    fitting = sum(total <= max_bytes for total in accumulate(sizes))
    return min(limit, max(1, fitting))
