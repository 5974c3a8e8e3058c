"""The audit log: one JSON line for whatever may have changed something, and never a feature value.

Lines go through a queue to a thread that writes them. When the disk is slower than the callers for
so long that the queue is full, lines are lost; the audit log and the log then say how many.
"""

import json
import logging
import queue
import sys
from collections.abc import Mapping
from logging.handlers import QueueHandler, QueueListener, WatchedFileHandler
from time import monotonic
from typing import Any, Final

STDOUT: Final = "-"
MAX_QUEUED: Final = 100_000
CLOSING: Final = 5.0
"""Seconds that `close` takes at most."""

log = logging.getLogger(__name__)


class AuditLog:
    """Writes to a file, or with `-` to standard output. A file that is moved away is made anew."""

    def __init__(self, target: str, max_queued: int = MAX_QUEUED) -> None:
        """Raises OSError if the file cannot be written."""
        handler = (
            logging.StreamHandler(sys.stdout) if target == STDOUT else WatchedFileHandler(target)
        )
        handler.setFormatter(logging.Formatter("%(message)s"))
        handler.handleError = _say_so  # type: ignore[method-assign]
        records: queue.Queue[logging.LogRecord] = queue.Queue(max_queued)
        self._handler = handler
        self._queue = _Losing(records)
        self._listener = _Patient(records, handler)
        self._listener.start()

    def write(self, entry: Mapping[str, Any]) -> None:
        """Queue one line; never blocks."""
        if self._queue.lost and self._queue.room():
            lost, self._queue.lost = self._queue.lost, 0
            log.error("%d lines of the audit log were lost: it is written too slowly", lost)
            self._queue.handle(_record({"lost": lost}))
        self._queue.handle(_record(entry))

    def close(self) -> None:
        """Write what is queued, and close the file; that it cannot be written in time is logged."""
        try:
            self._listener.stop()
            self._handler.close()
        except (OSError, queue.Full) as error:
            log.error("the audit log could not be written to its end: %r", error)


class _Patient(QueueListener):
    """Ends when the queue has been written, even if it is full now; but not for ever."""

    def stop(self) -> None:
        """Raises queue.Full or TimeoutError after CLOSING seconds."""
        latest = monotonic() + CLOSING
        self.queue.put(None, timeout=CLOSING)  # type: ignore[attr-defined]
        writer = self._thread
        assert writer is not None
        writer.join(max(0.0, latest - monotonic()))
        if writer.is_alive():
            raise TimeoutError("it is written too slowly")


class _Losing(QueueHandler):
    """Counts what does not fit."""

    def __init__(self, records: "queue.Queue[logging.LogRecord]") -> None:
        super().__init__(records)
        self._records = records
        self.lost = 0

    def room(self) -> bool:
        """Whether two lines fit."""
        return self._records.qsize() < self._records.maxsize - 1

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self._records.put_nowait(record)
        except queue.Full:
            self.lost += 1


def _record(entry: Mapping[str, Any]) -> logging.LogRecord:
    line = json.dumps(entry, ensure_ascii=False, separators=(",", ":"))
    return logging.LogRecord("featom.audit", logging.INFO, "", 0, line, None, None)


def _say_so(record: logging.LogRecord) -> None:
    log.error("the audit log cannot be written: %s; lost: %s", sys.exc_info()[1], record.msg)
