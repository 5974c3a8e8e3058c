"""How long calls took and why some were refused, in bounded memory however many there are."""

import math
from collections import Counter
from typing import Final

_STEP: Final = math.log(1.01)
"""Times are told apart that are one percent apart."""
_SHORTEST: Final = 1e-6


class Tally:
    """Of the calls of one sort."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self.refusals: Counter[str] = Counter()
        """By their reason."""
        self.longest = 0.0
        """Seconds, of an answered call."""

    def answered(self, seconds: float) -> None:
        self._buckets[math.ceil(math.log(max(seconds, _SHORTEST) / _SHORTEST) / _STEP)] += 1
        self.longest = max(self.longest, seconds)

    @property
    def count(self) -> int:
        """Answered calls."""
        return self._buckets.total()

    def within(self, share: float) -> float:
        """The seconds within which that share was answered, to one percent; 0: none was."""
        wanted = share * self.count
        seen = 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            if seen >= wanted:
                return min(self.longest, _SHORTEST * math.exp(bucket * _STEP))
        return 0.0
