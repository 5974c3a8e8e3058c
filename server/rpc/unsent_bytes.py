"""Bounds how many bytes of answers may be in the server at a time.

An answer stays in memory until its caller has taken it, and callers may be slow. Large answers and
all others have a half each, so that large ones never keep those out.
"""

import asyncio
import sys
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Final, NamedTuple

from domain.errors import Overloaded
from server.rpc.call import Call
from telemetry.metrics import Metric, MetricKind, Sample

TINY: Final = 4 * 1_024
"""Bytes of an answer that is not counted: it takes no more than its call does in any case."""
LARGE: Final = 1_024 * 1_024
"""Bytes of an answer from which on it is a large one."""
PATIENCE: Final = 5.0
"""Seconds for which an answer waits for room."""


class _Waiting(NamedTuple):
    size: int
    admitted: "asyncio.Future[None]"


class _Share:
    """The answers of one kind."""

    def __init__(self, limit: int) -> None:
        self.held = 0
        self.limit: Final = limit
        self._queue: deque[_Waiting] = deque()
        self._made = 0
        """Bytes of answers that are made, and wait."""

    @property
    def is_full(self) -> bool:
        return self.held >= self.limit

    def fits(self, size: int) -> bool:
        """One alone fits in any case."""
        return self.held == 0 or self.held + size <= self.limit

    async def take(self, size: int, *, made: bool) -> None:
        """Wait for room, in the order of arrival. Raises Overloaded.

        Answers that are `made` take memory while they wait, so no more of them may wait than may be
        on their way.
        """
        if not self._queue and self.fits(size):
            self.held += size
            return
        if made and self._made + size > self.limit:
            raise Overloaded(_FULL)
        self._made += size * made
        try:
            await self._wait(size)
        finally:
            self._made -= size * made

    def give_back(self, size: int) -> None:
        self.held -= size
        while self._queue and (self._queue[0].admitted.done() or self.fits(self._queue[0].size)):
            waiting = self._queue.popleft()
            if not waiting.admitted.done():
                self.held += waiting.size
                waiting.admitted.set_result(None)

    async def _wait(self, size: int) -> None:
        admitted = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(size, admitted))
        try:
            async with asyncio.timeout(PATIENCE):
                await admitted
        except TimeoutError:
            raise Overloaded(_FULL) from None
        finally:
            if admitted.cancelled():
                self.give_back(0)  # who is behind may fit
            elif sys.exception() is not None:
                self.give_back(size)  # it had just been admitted


_FULL: Final = "More bytes of answers are on their way than may be."


class UnsentBytes:
    """Counts the bytes of answers that their callers have not taken yet."""

    def __init__(self, limit: int) -> None:
        self._large = _Share(limit // 2)
        self._others = _Share(limit // 2)

    @property
    def held(self) -> int:
        """Bytes of the answers on their way, and of those that have room and are being made."""
        return self._large.held + self._others.held

    def metrics(self) -> Iterator[Metric]:
        """See telemetry.metrics.MetricSource."""
        shares = {"large": self._large, "other": self._others}
        yield Metric(
            "featom_unsent_answer_bytes",
            "Bytes of answers that their callers have not taken yet: large (above 1 MiB) or other.",
            MetricKind.GAUGE,
            [Sample({"size": name}, share.held) for name, share in shares.items()],
        )
        yield Metric(
            "featom_unsent_answer_bytes_limit",
            "Bytes of answers that there may be; what comes then waits, and is refused as"
            " OVERLOADED.",
            MetricKind.GAUGE,
            [Sample({"size": name}, share.limit) for name, share in shares.items()],
        )

    def require_room(self) -> None:
        """Raises Overloaded if there is none for an answer that may become large."""
        if self._large.is_full:
            raise Overloaded(_FULL)

    def room(self, call: Call) -> "Room":
        """For the answer of a call that reads."""
        return Room(self, call)

    def keep(self, call: Call, answer: bytes) -> bytes:
        """Count an answer until its call is over, whatever room there is: of what was done."""
        size = len(answer)
        if size > TINY:
            self.hold(size)
            call.when_over(lambda: self.release(size))
        return answer

    def hold(self, size: int) -> None:
        """Count an answer, whatever room there is; `release` must follow."""
        self.share_of(size).held += size

    def release(self, size: int) -> None:
        self.share_of(size).give_back(size)

    def share_of(self, size: int) -> _Share:
        return self._large if size > LARGE else self._others


class Room:
    """Room for one answer, until its call is over, or fails in the block. See domain.ports."""

    __slots__ = ("_call", "_share", "_taken", "_unsent")

    def __init__(self, unsent: UnsentBytes, call: Call) -> None:
        self._unsent = unsent
        self._call = call
        self._share: _Share | None = None
        self._taken = 0

    @property
    def is_large(self) -> bool:
        """Whether room was taken for a large answer."""
        return self._taken > LARGE

    async def take(self, size: int) -> None:
        share = self._share or self._unsent.share_of(size)
        await share.take(size, made=False)
        self._share = share
        self._taken += size

    async def filled(self, answer: bytes) -> bytes:
        """The answer, once there is room for it. Raises Overloaded."""
        size = len(answer)
        if self._share is not None:
            # What was taken was an estimate: features may be left out, and there are frames.
            self._share.give_back(self._taken - size)
            self._taken = size
        elif size > TINY:
            self._share = self._unsent.share_of(size)
            await self._share.take(size, made=True)
            self._taken = size
        return answer

    def __enter__(self) -> "Room":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._taken:
            return
        assert self._share is not None
        if error is not None:
            self._share.give_back(self._taken)
        else:
            share, taken = self._share, self._taken
            self._call.when_over(lambda: share.give_back(taken))
