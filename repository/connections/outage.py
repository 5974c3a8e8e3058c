"""A database that cannot work: what is logged of it, and how often it is asked again.

One line is logged when that begins, and one when it is over. Whatever fails in between is counted,
and told at the end; what keeps the server from being ready is told by its health, cause by cause.

Meanwhile a circuit breaker, after Michael Nygard, "Release It!" (2007), keeps those who wait for a
connection from asking for one each; its pauses grow, with jitter.
"""

import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

from formats.json_lines import FIELDS
from repository.connections.sqlstates import Failure, Verdict

_OVER_AFTER: Final = 1.0
"""Seconds without a failure after which something that works ends an outage."""
_FORGOTTEN_AFTER: Final = 10.0
"""Seconds without a failure after which a write of the server's own ends it too: perhaps nobody
uses the pool any more that has failed."""
_COUNTS: Final = (Verdict.UNAVAILABLE, Verdict.HEAVY, Verdict.LOST)
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 1.0

log = logging.getLogger(__name__)


class Outage:
    """Of all that is done on one database: one line when it begins, and one at its end."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` counts seconds."""
        self._clock = clock
        self._host = ""
        self._begun = 0.0
        self._latest: dict[str, float] = {}
        """When each pool failed last, until it works again."""
        self._causes: Counter[str] = Counter()
        self._pools: Counter[str] = Counter()

    @property
    def goes_on(self) -> bool:
        return bool(self._latest)

    def failed(self, failure: Failure, pool: str, host: str, error: Exception) -> None:
        """Note a failure of a pool, if it is one that the database is to blame for."""
        if failure.verdict not in _COUNTS:
            return
        now = self._clock()
        cause = failure.sqlstate or "none"
        if not self._latest:
            self._begun, self._host = now, host
            self._tell_beginning(failure, cause, pool, error)
        self._latest[pool] = now
        self._causes[cause] += 1
        self._pools[pool] += 1

    def worked(self, pool: str) -> None:
        """Note that something works in a pool."""
        self._end_after(_OVER_AFTER, [pool])

    def committed(self) -> None:
        """Note that the database has committed a write of the server's own."""
        self._end_after(_FORGOTTEN_AFTER, list(self._latest))

    def _end_after(self, seconds: float, pools: Iterable[str]) -> None:
        """End what is behind some pools, if they have not failed for so long."""
        latest_of_all = self._clock() - seconds
        for pool in pools:
            if pool in self._latest and self._latest[pool] <= latest_of_all:
                del self._latest[pool]
                if not self._latest:
                    self._tell_end()

    def _tell_end(self) -> None:
        seconds = round(self._clock() - self._begun, 1)
        by_sqlstate, by_pool = dict(self._causes), dict(self._pools)
        log.warning(
            "the database works again: host %s, after %.1f s; failures by SQLSTATE: %s;"
            " by pool: %s",
            *(self._host, seconds, _listed(by_sqlstate), _listed(by_pool)),
            extra={
                FIELDS: {
                    "host": self._host,
                    "seconds": seconds,
                    "failures_by_sqlstate": by_sqlstate,
                    "failures_by_pool": by_pool,
                }
            },
        )
        self._causes.clear()
        self._pools.clear()

    def _tell_beginning(self, failure: Failure, cause: str, pool: str, error: Exception) -> None:
        broke = failure.verdict is Verdict.LOST
        no_answer = "the connection broke" if broke else "there is no connection"
        log.warning(
            "the database cannot work: %s (host %s, SQLSTATE %s, found while %s): %s",
            failure.words or no_answer,
            *(self._host, cause, pool, str(error) or type(error).__name__),
            extra={FIELDS: {"host": self._host, "sqlstate": cause}},
        )


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


class Reconnecting:
    """Connects, as long as that works. Once it has failed there is one attempt at a time, after a
    pause; callers that come meanwhile get the last error at once."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[Any]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` counts seconds."""
        self._connect = connect
        self._clock = clock
        self._failures = 0
        self._last: Exception | None = None
        self._not_before = 0.0
        self._attempts = 0

    async def connect(self, *_: Any, **__: Any) -> Any:
        """A new connection. Raises what connecting does, perhaps without another attempt.

        The driver's pool may ask for what it likes: it is known how to connect.
        """
        if self._last is not None and (self._attempts or self._clock() < self._not_before):
            # The same error again, without the places where it was raised before.
            raise self._last.with_traceback(None)
        self._attempts += 1
        try:
            connection = await self._connect()
        except Exception as error:
            self._failed(error)
            raise
        finally:
            self._attempts -= 1
        self._failures, self._last = 0, None
        return connection

    def _failed(self, error: Exception) -> None:
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(self._failures, 10))
        self._failures += 1
        self._last = error
        self._not_before = self._clock() + random.uniform(pause / 2, pause)  # noqa: S311
