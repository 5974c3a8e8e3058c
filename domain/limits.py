"""How much the store takes."""

from msgspec import Struct


class Limits(Struct, frozen=True, gc=False):
    """Bounds that keep one aggregate, and one request, small enough to be one unit."""

    features: int = 1_000
    """Features of an aggregate."""
    state_bytes: int = 1_048_576
    """The size of an aggregate, in bytes as `domain.feature` estimates them."""
    updates: int = 1_000
    """Feature updates in one request."""
    batch_keys: int = 1_000
    """Aggregates read by one request, or listed on one page; and updates in one batch."""
    batch_bytes: int = 33_554_432
    """Aggregates that one batch of updates is about, as they are stored before it."""
    answer_bytes: int = 67_108_864
    """Aggregates in one answer: to a batch of reads, of which each counts as it is stored, or to a
    batch of updates, where one may be in it after each of them."""
    past_changes: int = 1_000_000
    """Changes that one read of the past goes through."""
    past_bytes: int = 1_073_741_824
    """The size of these changes."""
