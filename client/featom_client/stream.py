"""Many updates under way at a time, from one thread."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime
from threading import BoundedSemaphore, Lock
from types import TracebackType

from featom_client import bulk
from featom_client.answers import Updated
from featom_client.bulk import Job
from featom_client.calls import Call
from featom_client.operations import Change, merged
from featom_client.rows import RefusedRow, Row

Run = Callable[[Call[tuple[Updated, ...]], float], tuple[Updated, ...]]


class Stream(Job[Future[None]]):
    """Independent updates, sent in batches, with several batches in flight.

    `update` blocks while too many are in flight. At the end of the `with` block all are answered,
    and `result` says what became of each. Raises WriteStopped if a call finally fails.
    """

    def __init__(self, run: Run, call_seconds: float, job_seconds: float) -> None:
        """`run` makes a call within so many seconds."""
        super().__init__(call_seconds, job_seconds)
        self._run = run
        self._senders = ThreadPoolExecutor(bulk.BATCHES_IN_FLIGHT, "featom-stream")
        self._room = BoundedSemaphore(bulk.BATCHES_IN_FLIGHT)
        self._lock = Lock()

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
        row = self._row(entity_type, entity_id, merged(features, named), event_time)
        self.add([row])
        return row.number

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
        sent = self._senders.submit(self._write_after, self._ahead_of(batch), batch)
        sent.add_done_callback(lambda _: self._room.release())
        self._note(batch, sent)
        self._raise_failure()

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
            super()._leave(rows)

    def _raise_failure(self) -> None:
        """Once all that is under way is answered."""
        if self._failure is None:
            return
        wait(set(self._last.values()))
        raise self._stopped() from self._failure
