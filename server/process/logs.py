"""Logging that never blocks the event loop.

Every record goes through a queue to a thread that writes it. Writing from a completion callback of
grpc could also deadlock with its locks (grpc/grpc#43421).
"""

import copy
import logging
import queue
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from logging.handlers import QueueHandler, QueueListener
from typing import Final, TextIO

from formats.json_lines import FIELDS, JsonLines
from server.process.standard_error import StandardError, others_logged, true_standard_error
from server.rpc.call import current_call
from telemetry.metrics import Metric, counter


class _TextLines(logging.Formatter):
    """A message is one line, also where it has the details and hints of PostgreSQL."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (the name of logging)
        return " ".join(super().formatMessage(record).splitlines())


FORMATTERS: Final[Mapping[str, logging.Formatter]] = {
    "text": _TextLines("%(asctime)s %(levelname)s %(name)s: %(message)s"),
    "json": JsonLines(),
}


MAX_QUEUED: Final = 100_000
"""Lines that wait for the reader of standard error."""


class LostLines:
    """Lines that were never written, as too many waited for standard error to take them."""

    def __init__(self) -> None:
        self.untold = 0
        """Of which the log does not tell yet."""
        self.ever = 0

    def lose(self) -> None:
        """Count one more."""
        self.untold += 1
        self.ever += 1

    def metrics(self) -> Iterator[Metric]:
        """See telemetry.metrics.MetricSource."""
        yield counter(
            "featom_log_lines_lost_total",
            "Lines of the log that were lost: standard error did not take them in time.",
            self.ever,
        )


LOST_LINES: Final = LostLines()
"""A process has one log."""


class _Records(QueueHandler):
    """Finishes a record where it was made: there it is known of which call it is, and its
    arguments have not changed yet.
    """

    def __init__(self, records: "queue.Queue[logging.LogRecord]") -> None:
        super().__init__(records)
        self._records = records

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            if LOST_LINES.untold and self._records.qsize() < self._records.maxsize - 1:
                lost, LOST_LINES.untold = LOST_LINES.untold, 0
                said = f"{lost} lines of the log were lost: it is written too slowly"
                self._records.put_nowait(
                    logging.LogRecord(__name__, logging.ERROR, "", 0, said, None, None)
                )
            self._records.put_nowait(record)
        except queue.Full:
            LOST_LINES.lose()

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        finished = copy.copy(record)
        finished.msg, finished.args = record.getMessage(), None
        if fields := _fields_of_call():
            setattr(finished, FIELDS, fields | getattr(record, FIELDS, {}))
        if record.exc_info and not record.exc_text:
            finished.exc_text = _TRACEBACKS.formatException(record.exc_info)
        finished.exc_info = None
        return finished


class _Lines(logging.StreamHandler[TextIO | StandardError]):
    """Counts a line that cannot be written. To tell of it on standard error, as logging does, would
    be another line that cannot be written, and so on without end.
    """

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (the name of logging)
        LOST_LINES.lose()


class _Writer(QueueListener):
    """Goes on whatever becomes of a record."""

    def handle(self, record: logging.LogRecord) -> None:
        try:
            super().handle(record)
        except Exception:
            LOST_LINES.lose()

    def enqueue_sentinel(self) -> None:
        # For the end of the log it is worth waiting until there is room. StandardError bounds that.
        self.queue.put(None)  # type: ignore[attr-defined]


_TRACEBACKS: Final = logging.Formatter()


def _fields_of_call() -> dict[str, str]:
    call = current_call.get()
    if call is None:
        return {}
    # What is asked for may itself be logged about, and so on without an end.
    known = current_call.set(None)
    try:
        return call.log_fields
    finally:
        current_call.reset(known)


def _is_of_use(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_OF_CALLERS)


_OF_CALLERS: Final = (
    "Invalid encoding on",  # metadata that is no text, each time that somebody looks at it
    "ExecuteBatchError raised in core",  # the caller has gone without its answer
)
"""What grpc logs as errors, with a traceback, and callers can bring about as often as they like."""


@contextmanager
def log_of_server(level: str, form: str) -> Iterator[None]:
    """As `logging_to_stderr`, where every line of standard error is one of the log, also of what
    gRPC and others write there by themselves."""
    with (
        true_standard_error() as stream,
        logging_to_stderr(level, form, stream),
        others_logged(stream),
    ):
        yield


@contextmanager
def logging_to_stderr(
    level: str, form: str = "text", stream: StandardError | None = None
) -> Iterator[None]:
    """Log to standard error while the block runs; what is queued at its end is still written.

    `form` is one of FORMATTERS; `stream` is another way to standard error.
    """
    records: queue.Queue[logging.LogRecord] = queue.Queue(MAX_QUEUED)
    writer = _Lines(stream or sys.stderr)
    writer.setFormatter(FORMATTERS[form.lower()])
    listener = _Writer(records, writer)
    root = logging.getLogger()
    handlers, level_before = root.handlers, root.level
    root.handlers = [_Records(records)]
    root.setLevel(level.upper())
    logging.getLogger("grpc._cython.cygrpc").addFilter(_is_of_use)
    # Alembic tells of each migration on its own account.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    listener.start()
    try:
        yield
    finally:
        root.handlers = handlers
        root.setLevel(level_before)
        listener.stop()
