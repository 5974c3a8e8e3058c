"""How long to wait for an answer, and when to ask again."""

import random
import time
from dataclasses import dataclass
from typing import Any

from featom_client.errors import CallTimeout, CommitUnknown, FeatomError, Unavailable, Unreachable
from featom_client.statuses import error_of


@dataclass(frozen=True)
class Timeouts:
    """Four time-outs, in seconds.

    `connect` bounds one attempt to make a connection, `attempt` one attempt of a call, `call` all
    attempts of a call and the pauses between them, `job` the whole of a bulk write.
    """

    connect: float = 5.0
    attempt: float = 5.0
    call: float = 30.0
    job: float = 3_600.0

    def __post_init__(self) -> None:
        if wrong := [
            name for name, seconds in vars(self).items() if not 0 < seconds < float("inf")
        ]:
            raise ValueError(f"must be more than 0 and finite: {', '.join(wrong)}")


@dataclass(frozen=True)
class Retry:
    """How often a call is made that may succeed later.

    Between two attempts there is the pause that the server asks for, and beside it a random one, up
    to `pause` at first, twice that each time, up to `longest_pause` (seconds): full jitter.
    """

    attempts: int = 10
    pause: float = 0.1
    longest_pause: float = 2.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or not 0 <= self.pause <= self.longest_pause:
            raise ValueError("attempts must be 1 or more, and 0 <= pause <= longest_pause")

    def pause_after(self, attempt: int, asked: float | None = None) -> float:
        """Seconds to wait after so many attempts."""
        longest = min(self.longest_pause, self.pause * 2.0 ** min(attempt - 1, 32))
        return (asked or 0.0) + random.uniform(0.0, longest)  # noqa: S311 - no secret


class Attempts:
    """The attempts of one call."""

    def __init__(self, retry: Retry, attempt: float, call: float) -> None:
        """`attempt` and `call` are those of Timeouts."""
        self._retry = retry
        self._attempt = attempt
        self._deadline = time.monotonic() + call
        self._made = 0

    def seconds(self) -> float:
        """How long the next attempt may take."""
        return max(0.001, min(self._attempt, self._deadline - time.monotonic()))

    def pause_after(self, failure: Any, request_id: str, repeatable: bool) -> float:
        """How long to wait before the next attempt. Raises what the failure means if it was the
        last.

        `repeatable`: the call may be made again although it may have been applied.
        """
        self._made += 1
        error = error_of(failure, request_id)
        if not _may_succeed_later(error, repeatable) or self._made >= self._retry.attempts:
            raise error from failure
        pause = self._retry.pause_after(self._made, error.retry_delay)
        if time.monotonic() + pause >= self._deadline:
            raise error from failure
        return pause


def _may_succeed_later(error: FeatomError, repeatable: bool) -> bool:
    if isinstance(error, (CallTimeout, Unreachable, CommitUnknown)):
        return repeatable
    return isinstance(error, Unavailable)
