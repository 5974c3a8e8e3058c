"""Many updates under way at a time, from one event loop."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from types import TracebackType

from featom_client import bulk
from featom_client.answers import Updated
from featom_client.bulk import Job
from featom_client.calls import Call
from featom_client.operations import Change, merged
from featom_client.rows import RefusedRow, Row

Run = Callable[[Call[tuple[Updated, ...]], float], Awaitable[tuple[Updated, ...]]]


class AsyncStream(Job[asyncio.Task[None]]):
    """Independent updates, sent in batches, with several batches in flight.

    `update` blocks while too many are in flight. At the end of the `with` block all are answered,
    and `result` says what became of each. Raises WriteStopped if a call finally fails.
    """

    def __init__(self, run: Run, call_seconds: float, job_seconds: float) -> None:
        """`run` makes a call within so many seconds."""
        super().__init__(call_seconds, job_seconds)
        self._run = run
        self._room = asyncio.Semaphore(bulk.BATCHES_IN_FLIGHT)
        self._under_way: set[asyncio.Task[None]] = set()

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
        row = self._row(entity_type, entity_id, merged(features, named), event_time)
        await self.add([row])
        return row.number

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
        task = asyncio.create_task(self._write_after(self._ahead_of(batch), batch))
        self._under_way.add(task)
        task.add_done_callback(self._answered)
        self._note(batch, task)
        # It is sent before the next batch is made.
        await asyncio.sleep(0)
        await self._raise_failure()

    def _answered(self, task: "asyncio.Task[None]") -> None:
        self._under_way.discard(task)
        self._room.release()

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

    async def _all_answered(self) -> None:
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def _raise_failure(self) -> None:
        """Once all that is under way is answered."""
        if self._failure is None:
            return
        await self._all_answered()
        raise self._stopped() from self._failure
