"""What is logged of a database that cannot work: when it begins, and when it is over."""

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from repository.connections.sqlstates import Failure, Verdict

_OVER_AFTER: Final = 1.0
"""Seconds without a failure after which something that works ends an outage."""
_COUNTS: Final = (Verdict.AWAY, Verdict.HEAVY, Verdict.LOST)

log = logging.getLogger(__name__)


class Outage:
    """Of one pool. One line each time that it begins, or has another cause, and one at its end."""

    def __init__(self, pool: str, clock: Callable[[], float] = time.monotonic) -> None:
        """`pool` is for people; `clock` counts seconds."""
        self._pool = pool
        self._clock = clock
        self._begun = 0.0
        self._latest = 0.0
        self._causes: Counter[str] = Counter()

    @property
    def goes_on(self) -> bool:
        return bool(self._causes)

    def failed(self, failure: Failure, host: str, error: Exception) -> None:
        """Note a failure, if it is one that the database is to blame for."""
        if failure.verdict not in _COUNTS:
            return
        self._latest = self._clock()
        if not self._causes:
            self._begun = self._latest
        cause = failure.sqlstate or "none"
        if cause not in self._causes:
            log.warning(
                "the database cannot work for the %s pool: %s (SQLSTATE %s, host %s): %s",
                self._pool,
                failure.words or "there is no connection",
                cause,
                host,
                str(error) or type(error).__name__,
            )
        self._causes[cause] += 1

    def worked(self) -> None:
        """Note that something works again."""
        now = self._clock()
        if not self._causes or now - self._latest < _OVER_AFTER:
            return
        failures = ", ".join(
            f"{count} of SQLSTATE {cause}" for cause, count in self._causes.items()
        )
        log.warning(
            "the database works again for the %s pool: after %.1f s, with failures: %s",
            self._pool,
            now - self._begun,
            failures,
        )
        self._causes.clear()
