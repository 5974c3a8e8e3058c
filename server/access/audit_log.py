"""The audit log: one JSON line for whatever may have changed something, and never a feature value.

Lines go through a queue to a thread that writes them. What cannot be written now is tried again
until it can be, and the lines behind it wait. When the queue is full, lines are lost; the audit log
and the log then say how many.
"""

import json
import logging
import os
import queue
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import monotonic
from typing import Any, Final

from telemetry.metrics import Metric, counter, gauge

MAX_QUEUED: Final = 100_000
CLOSING: Final = 5.0
"""Seconds that `close` takes at most."""
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
"""Seconds between two tries."""

log = logging.getLogger(__name__)


class AuditLog:
    """Writes to a file, or with `-` to standard output. A file that is moved away is made anew."""

    def __init__(self, target: str, max_queued: int = MAX_QUEUED) -> None:
        """Raises OSError if the file cannot be written."""
        self._file = LineFile(target)
        self._lines: queue.Queue[bytes | None] = queue.Queue(max_queued)
        """None: there will be no more."""
        self._not_queued = 0
        """Of which the audit log has not been told."""
        self._lost = 0
        self._closing = threading.Event()
        self._trouble = False
        self._writer = threading.Thread(target=self._write_all, name="audit log", daemon=True)
        self._writer.start()

    def write(self, entry: Mapping[str, Any]) -> None:
        """Queue one line; never blocks."""
        if self._not_queued and self._lines.qsize() < self._lines.maxsize - 1:
            lost, self._not_queued = self._not_queued, 0
            log.error("%d lines of the audit log were lost: it is written too slowly", lost)
            self._queue({"lost": lost})
        self._queue(entry)

    def metrics(self) -> Iterator[Metric]:
        """See telemetry.metrics.MetricSource."""
        yield counter(
            "featom_audit_lines_lost_total",
            "Lines that the audit log lacks: too many were queued, or they could not be written.",
            self._lost,
        )
        yield gauge(
            "featom_audit_lines_waiting",
            "Lines that wait to be written to the audit log.",
            self._lines.qsize(),
        )

    def close(self) -> None:
        """Write what is queued, and close the file; that it cannot be written in time is logged."""
        latest = monotonic() + CLOSING
        self._closing.set()
        try:
            self._lines.put(None, timeout=CLOSING)
        except queue.Full:
            log.error("the audit log could not be written to its end: nothing takes its lines")
            return
        self._writer.join(max(0.0, latest - monotonic()))
        if self._writer.is_alive():
            log.error("the audit log could not be written to its end: it is written too slowly")
        else:
            self._file.close()

    def _queue(self, entry: Mapping[str, Any]) -> None:
        line = json.dumps(entry, ensure_ascii=False, separators=(",", ":")) + "\n"
        try:
            self._lines.put_nowait(line.encode("utf-8", "backslashreplace"))
        except queue.Full:
            self._not_queued += 1
            self._lost += 1

    def _write_all(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self._write_one(line)
            except Exception:
                self._lose(line, "the audit log cannot be written")

    def _write_one(self, line: bytes) -> None:
        """Try until it is written; but only once if the server ends."""
        pause = _FIRST_PAUSE
        while True:
            last = self._closing.is_set()
            try:
                self._file.append(line)
            except OSError as error:
                if last:
                    raise
                self._say(error)
                self._closing.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                break
        if self._trouble:
            self._trouble = False
            log.info("the audit log is written again")

    def _say(self, error: OSError) -> None:
        """Once, until it is mended."""
        if not self._trouble:
            self._trouble = True
            log.error("the audit log cannot be written: %s; its lines wait", error)

    def _lose(self, line: bytes, why: str) -> None:
        self._lost += 1
        self._file.give_up()
        log.exception("%s; lost: %s", why, line.decode().rstrip())


STDOUT = "-"


class LineFile:
    """A file that lines are appended to, and that may be moved away at any time.

    A line is written whole, if it takes several tries too.
    """

    def __init__(self, target: str) -> None:
        """`-` is standard output. Raises OSError if the file cannot be opened."""
        self._path = None if target == STDOUT else Path(target)
        self._written = 0
        """Bytes of a line that are in the file, if the rest did not fit."""
        self._is_torn = False
        """Whether the file ends with a part of a line that was given up."""
        self._file = sys.stdout.fileno() if self._path is None else _open(self._path)

    def append(self, line: bytes) -> None:
        """Raises OSError; the same line must then be tried again before another one."""
        try:
            self._follow()
            wanted = b"\n" + line if self._is_torn else line
            while self._written < len(wanted):
                self._written += os.write(self._file, wanted[self._written :])
        except OSError:
            # It may be the descriptor that is good for nothing.
            self._open_again()
            raise
        self._written, self._is_torn = 0, False

    def give_up(self) -> None:
        """No more tries for a line; what there is of it gets an end before the next one."""
        self._is_torn = self._is_torn or self._written > 0
        self._written = 0

    def close(self) -> None:
        if self._path is not None:
            os.close(self._file)

    def _follow(self) -> None:
        """A file that was moved away is made anew."""
        if self._path is None:
            return
        try:
            there = self._path.stat()
        except FileNotFoundError:
            self._replace(_open(self._path))
            return
        if not os.path.samestat(there, os.fstat(self._file)):
            self._replace(_open(self._path))

    def _open_again(self) -> None:
        if self._path is None:
            return
        try:
            self._replace(_open(self._path))
        except OSError:
            return

    def _replace(self, file: int) -> None:
        if not os.path.samestat(os.fstat(file), os.fstat(self._file)):
            self._written, self._is_torn = 0, False
        os.close(self._file)
        self._file = file


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
