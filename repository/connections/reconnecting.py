"""A bound on how often a database that refuses is asked again, however many wait for a connection.

A circuit breaker, after Michael Nygard, "Release It!" (2007), whose pauses grow, with jitter.
"""

import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 1.0


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
