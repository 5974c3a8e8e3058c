"""Many updates under way at a time, from one thread."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime
from threading import BoundedSemaphore, Lock
from types import TracebackType

from featom_client import bulk, calls
from featom_client.answers import Updated
from featom_client.bulk import Batches, WriteResult, WriteStopped
from featom_client.calls import Call
from featom_client.errors import CallTimeout
from featom_client.operations import Change, merged
from featom_client.rows import RefusedRow, Row

Run = Callable[[Call[tuple[Updated, ...]], float], tuple[Updated, ...]]


class Stream:
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
        self._senders = ThreadPoolExecutor(bulk.BATCHES_IN_FLIGHT, "featom-stream")
        self._room = BoundedSemaphore(bulk.BATCHES_IN_FLIGHT)
        self._last: dict[tuple[str, str], Future[None]] = {}
        """The newest batch about each entity that is under way."""
        self._lock = Lock()
        self._result = WriteResult()
        self._failure: BaseException | None = None
        self._rows = 0

    @property
    def result(self) -> WriteResult:
        """What became of the rows that are answered."""
        return self._result

    def update(
        self,
        entity_type: str,
        entity_id: str,
        features: Mapping[str, Change] | None = None,
        /,
        *,
        event_time: datetime | None = None,
        **named: Change,
    ) -> int:
        """As Client.update; returns the number of the row. Raises WriteStopped, InvalidRequest."""
        changes = merged(features, named)
        request = calls.update_request(entity_type, entity_id, changes, event_time=event_time)
        number = self._rows
        self.add([Row(number, request)])
        return number

    def add(self, rows: Iterable[Row | RefusedRow]) -> None:
        """Send rows as they come. Raises WriteStopped."""
        for row in rows:
            self._rows += 1
            if isinstance(row, RefusedRow):
                with self._lock:
                    self._result.refused.append(row)
            elif batch := self._batches.add(row):
                self._send(batch)

    def flush(self) -> None:
        """Send what waits for a batch to be full, and wait until all is answered."""
        if rest := self._batches.rest():
            self._send(rest)
        wait(set(self._last.values()))
        self._raise_failure()

    def __enter__(self) -> "Stream":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.flush()
            else:
                # What is not sent yet is left, so that nobody waits for more than a call.
                self._failure = self._failure or error
        finally:
            self._senders.shutdown(wait=True, cancel_futures=error is not None)
            self._result.in_order()

    def _send(self, batch: Sequence[Row]) -> None:
        self._room.acquire()
        keys = {row.key for row in batch}
        ahead = {self._last[key] for key in keys & self._last.keys()}
        sent = self._senders.submit(self._write_after, ahead, batch)
        self._last.update(dict.fromkeys(keys, sent))
        sent.add_done_callback(lambda _: self._room.release())
        self._forget_answered()
        self._raise_failure()

    def _forget_answered(self) -> None:
        if len(self._last) > 2 * bulk.BATCHES_IN_FLIGHT * bulk.BATCH_ROWS:
            self._last = {key: sent for key, sent in self._last.items() if not sent.done()}

    def _write_after(self, ahead: set["Future[None]"], batch: Sequence[Row]) -> None:
        wait(ahead)
        try:
            self._write(batch)
        except BaseException as error:
            with self._lock:
                self._failure = self._failure or error

    def _write(self, rows: Sequence[Row]) -> None:
        """Write them together, or each half by itself if one of them is refused."""
        if self._failure is not None:
            self._leave(rows)
            return
        try:
            outcomes = self._run(bulk.call_of(rows), self._seconds_left())
        except bulk.REFUSALS as error:
            if len(rows) == 1:
                with self._lock:
                    self._result.refused.append(RefusedRow(rows[0].number, error))
                return
            for half in bulk.halves(rows):
                self._write(half)
        except BaseException:
            self._leave(rows)
            raise
        else:
            with self._lock:
                self._result.add(rows, outcomes)

    def _leave(self, rows: Sequence[Row]) -> None:
        with self._lock:
            self._result.unconfirmed += [row.number for row in rows]

    def _seconds_left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise CallTimeout("the time of the bulk write was up")
        return min(left, self._call_seconds)

    def _raise_failure(self) -> None:
        """Once all that is under way is answered."""
        if self._failure is None:
            return
        wait(set(self._last.values()))
        self._leave(self._batches.rest())
        raise WriteStopped(str(self._failure), result=self._result.in_order()) from self._failure
