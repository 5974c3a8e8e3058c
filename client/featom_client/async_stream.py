"""Many updates under way at a time, from one event loop."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import TracebackType

from featom_client import bulk, calls
from featom_client.answers import Updated
from featom_client.bulk import Batches, WriteResult, WriteStopped
from featom_client.calls import Call
from featom_client.errors import CallTimeout
from featom_client.operations import Change, merged
from featom_client.rows import RefusedRow, Row

Run = Callable[[Call[tuple[Updated, ...]], float], Awaitable[tuple[Updated, ...]]]


class AsyncStream:
    """Independent updates, sent in batches, with several batches in flight.

    `update` blocks while too many are in flight. At the end of the `with` block all are answered,
    and `result` says what became of each. Raises WriteStopped if a call finally fails.
    """

    def __init__(self, run: Run, call_seconds: float, job_seconds: float) -> None:
        """`run` makes a call within so many seconds."""
        self._run = run
        self._call_seconds = call_seconds
        self._deadline = time.monotonic() + job_seconds
        self._batches = Batches()
        self._room = asyncio.Semaphore(bulk.BATCHES_IN_FLIGHT)
        self._under_way: set[asyncio.Task[None]] = set()
        self._last: dict[tuple[str, str], asyncio.Task[None]] = {}
        """The newest batch about each entity."""
        self._result = WriteResult()
        self._failure: BaseException | None = None
        self._rows = 0

    @property
    def result(self) -> WriteResult:
        """What became of the rows that are answered."""
        return self._result

    async def update(
        self,
        entity_type: str,
        entity_id: str,
        features: Mapping[str, Change] | None = None,
        /,
        *,
        event_time: datetime | None = None,
        **named: Change,
    ) -> int:
        """As AsyncClient.update; returns the number of the row.

        Raises WriteStopped and InvalidRequest.
        """
        changes = merged(features, named)
        request = calls.update_request(entity_type, entity_id, changes, event_time=event_time)
        number = self._rows
        await self.add([Row(number, request)])
        return number

    async def add(self, rows: Iterable[Row | RefusedRow]) -> None:
        """Send rows as they come. Raises WriteStopped."""
        for row in rows:
            self._rows += 1
            if isinstance(row, RefusedRow):
                self._result.refused.append(row)
            elif batch := self._batches.add(row):
                await self._send(batch)

    async def flush(self) -> None:
        """Send what waits for a batch to be full, and wait until all is answered."""
        if rest := self._batches.rest():
            await self._send(rest)
        await self._all_answered()
        await self._raise_failure()

    async def __aenter__(self) -> "AsyncStream":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                await self.flush()
        finally:
            for task in self._under_way:
                task.cancel()
            await self._all_answered()
            self._result.in_order()

    async def _send(self, batch: Sequence[Row]) -> None:
        await self._room.acquire()
        keys = {row.key for row in batch}
        ahead = {self._last[key] for key in keys & self._last.keys()}
        task = asyncio.create_task(self._write_after(ahead, batch))
        self._under_way.add(task)
        self._last.update(dict.fromkeys(keys, task))
        task.add_done_callback(self._answered)
        self._forget_answered()
        # It is sent before the next batch is made.
        await asyncio.sleep(0)
        await self._raise_failure()

    def _answered(self, task: "asyncio.Task[None]") -> None:
        self._under_way.discard(task)
        self._room.release()

    def _forget_answered(self) -> None:
        if len(self._last) > 2 * bulk.BATCHES_IN_FLIGHT * bulk.BATCH_ROWS:
            self._last = {key: task for key, task in self._last.items() if not task.done()}

    async def _write_after(self, ahead: "set[asyncio.Task[None]]", batch: Sequence[Row]) -> None:
        if ahead:
            await asyncio.wait(ahead)
        try:
            await self._write(batch)
        except Exception as error:
            self._failure = self._failure or error

    async def _write(self, rows: Sequence[Row]) -> None:
        """Write them together, or each half by itself if one of them is refused."""
        if self._failure is not None:
            self._leave(rows)
            return
        try:
            outcomes = await self._run(bulk.call_of(rows), self._seconds_left())
        except bulk.REFUSALS as error:
            if len(rows) == 1:
                self._result.refused.append(RefusedRow(rows[0].number, error))
                return
            for half in bulk.halves(rows):
                await self._write(half)
        except BaseException:
            self._leave(rows)
            raise
        else:
            self._result.add(rows, outcomes)

    def _leave(self, rows: Sequence[Row]) -> None:
        self._result.unconfirmed += [row.number for row in rows]

    def _seconds_left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise CallTimeout("the time of the bulk write was up")
        return min(left, self._call_seconds)

    async def _all_answered(self) -> None:
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def _raise_failure(self) -> None:
        """Once all that is under way is answered."""
        if self._failure is None:
            return
        await self._all_answered()
        self._leave(self._batches.rest())
        raise WriteStopped(str(self._failure), result=self._result.in_order()) from self._failure
