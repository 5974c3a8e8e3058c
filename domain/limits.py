"""How much the store takes: every limit of what callers send, ask for and get."""

from typing import Final

from msgspec import Struct

# Names, in characters; ids, in bytes.
LONGEST_ENTITY_TYPE: Final = 63
LONGEST_NAME: Final = 128
"""Of features and of rules."""
MAX_ENTITY_ID_BYTES: Final = 256

# Entity types.
MAX_RULES: Final = 100
MAX_DESCRIPTION: Final = 500
MAX_TTL_SECONDS: Final = 100 * 366 * 86_400
MAX_PATTERN_LENGTH: Final = 1_000
MAX_PATTERNS_WEIGHT: Final = 100_000
"""Of all patterns of a definition; each counts by what a text costs that it is matched with."""
MAX_PATTERNS_COST: Final = 110_000
"""Microseconds, about, for the patterns of all features that an update changes: more than those of
a definition weigh together, so that only lists of many texts exceed it."""

# Rules of an entity type.
MAX_RULE_LENGTH: Final = 1_000
MAX_RULES_LENGTH: Final = 20_000
"""Characters of all rules together: they are compiled while updates wait."""
MAX_RULES_COST: Final = 50_000.0
"""Microseconds, as they are estimated, for all rules that one update asks."""
MAX_REGEX_WEIGHT: Final = 5_000
"""Of one regular expression of a rule, or one pattern: to compile it takes about so many µs."""
MAX_REGEXES_WEIGHT: Final = 20_000
"""Of the regular expressions of all rules together."""

# Pages.
DEFAULT_PAGE: Final = 100
MAX_PAGE: Final = 1_000
"""Entity types, or aggregates that are checked; `Limits.batch_keys` is that of aggregates."""
MAX_PAGE_BYTES: Final = 3 * 1_024 * 1_024
"""A client takes answers of 4 MiB unless told otherwise; a page ends before that."""


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
    past_incarnations: int = 10_000
    """Incarnations of an entity among which one read of the past looks for its own."""


DEFAULT_LIMITS: Final = Limits()
