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
from typing import Final

from server.call import current_call
from server.json_lines import FIELDS, JsonLines

FORMATTERS: Final[Mapping[str, logging.Formatter]] = {
    "text": logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"),
    "json": JsonLines(),
}


class _Records(QueueHandler):
    """Finishes a record where it was made: there it is known of which call it is, and its
    arguments have not changed yet.
    """

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        finished = copy.copy(record)
        finished.msg, finished.args = record.getMessage(), None
        if fields := _fields_of_call():
            setattr(finished, FIELDS, fields | getattr(record, FIELDS, {}))
        if record.exc_info and not record.exc_text:
            finished.exc_text = _TRACEBACKS.formatException(record.exc_info)
        finished.exc_info = None
        return finished


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
def logging_to_stderr(level: str, form: str = "text") -> Iterator[None]:
    """Log to standard error while the block runs; what is queued at its end is still written.

    `form` is one of FORMATTERS.
    """
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    writer = logging.StreamHandler(sys.stderr)
    writer.setFormatter(FORMATTERS[form])
    listener = QueueListener(records, writer)
    root = logging.getLogger()
    root.handlers = [_Records(records)]
    root.setLevel(level.upper())
    logging.getLogger("grpc._cython.cygrpc").addFilter(_is_of_use)
    # Alembic tells of each migration on its own account.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    listener.start()
    try:
        yield
    finally:
        listener.stop()
