"""Logging that never blocks the event loop.

Every record goes through a queue to a thread that writes it. Writing from a completion callback of
grpc could also deadlock with its locks (grpc/grpc#43421).
"""

import logging
import queue
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import QueueHandler, QueueListener

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@contextmanager
def logging_to_stderr(level: str) -> Iterator[None]:
    """Log to standard error while the block runs; what is queued at its end is still written."""
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    writer = logging.StreamHandler(sys.stderr)
    writer.setFormatter(logging.Formatter(FORMAT))
    listener = QueueListener(records, writer)
    root = logging.getLogger()
    root.handlers = [QueueHandler(records)]
    root.setLevel(level.upper())
    # Alembic tells of each migration on its own account.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    listener.start()
    try:
        yield
    finally:
        listener.stop()
