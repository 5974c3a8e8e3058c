"""What others write to standard error, as lines of the log.

gRPC's core, and whatever else is written in C, knows nothing of Python's logging: it writes to file
descriptor 2, in a form of its own. Among it is what no one else tells, such as why a handshake
failed.
"""

import faulthandler
import io
import logging
import os
import re
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

_STANDARD_ERROR: Final = 2
_CHUNK: Final = 65_536
_LONGEST: Final = 16_384
"""Bytes after which a line that does not end is cut."""
_CLOSING: Final = 1.0
"""Seconds for which the last lines are waited for."""
_ENDING: Final = 2.0
"""Seconds for which a reader that takes nothing is waited for when the process ends."""
_LOOK_MS: Final = 100
"""Milliseconds between looks whether it ends."""

# Abseil's form: level, date, time, thread, place, text.
_OF_CORE: Final = re.compile(r"([IWEF])\d{4} [\d:.]+ +\d+ ([\w.]+:\d+)\] (.*)", re.DOTALL)
_LEVELS: Final = {
    "I": logging.INFO,
    "W": logging.WARNING,
    "E": logging.ERROR,
    "F": logging.CRITICAL,
}

core_log: Final = logging.getLogger("grpc.core")
log: Final = logging.getLogger("stderr")


class StandardError(io.TextIOBase):
    """Standard error under another file descriptor.

    A reader that takes nothing is waited for, but not when the process is to end: a thread that is
    blocked in a write would keep it from that.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._room = select.poll()
        self._room.register(descriptor, select.POLLOUT)
        self._is_ending = False
        self._is_given_up = False

    def fileno(self) -> int:
        return self._descriptor

    def write(self, text: str) -> int:
        """Write at once; what there is no time for is lost."""
        data = text.encode(errors="backslashreplace")
        while data and self._has_room():
            # Where a pipe has room there is enough for so many bytes, and the write does not block.
            written = os.write(self._descriptor, data[: select.PIPE_BUF])
            data = data[written:]
        return len(text)

    def end_soon(self) -> None:
        """From now on a reader that takes nothing is waited for once, and only for a moment."""
        self._is_ending = True

    def _has_room(self) -> bool:
        """Wait for room; False if nobody makes any."""
        since = time.monotonic()
        while not self._is_given_up and not self._room.poll(_LOOK_MS):
            self._is_given_up = self._is_ending and time.monotonic() - since > _ENDING
        return not self._is_given_up


@contextmanager
def true_standard_error() -> Iterator[StandardError]:
    """Standard error, for the log itself to be written to."""
    descriptor = os.dup(_STANDARD_ERROR)
    try:
        yield StandardError(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def others_logged(true: StandardError) -> Iterator[None]:
    """Log what is written to standard error during the block; `true` is where it led before.

    Who writes never waits: what does not fit into the pipe is lost. So is, perhaps, the last word
    of C code that ends the process; therefore Python tells of such an end on `true`.
    """
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    os.dup2(write_end, _STANDARD_ERROR)
    os.close(write_end)
    was_enabled = faulthandler.is_enabled()
    faulthandler.enable(true)
    reader = threading.Thread(target=_log_all, args=(read_end,), name="stderr", daemon=True)
    reader.start()
    try:
        yield
    finally:
        true.end_soon()
        if not was_enabled:
            faulthandler.disable()
        # This closes the end of the pipe that is written to, and so the reader comes to its end.
        os.dup2(true.fileno(), _STANDARD_ERROR)
        reader.join(_CLOSING)


def _log_all(read_end: int) -> None:
    rest = b""
    while chunk := os.read(read_end, _CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LONGEST:
            lines, rest = [*lines, rest], b""
        for line in lines:
            _log(line[:_LONGEST])
    _log(rest)
    with suppress(OSError):
        os.close(read_end)


def _log(line: bytes) -> None:
    text = line.decode(errors="backslashreplace").rstrip()
    if not text:
        return
    found = _OF_CORE.fullmatch(text)
    if found is None:
        log.warning("%s", text)
    else:
        level, place, said = found.groups()
        core_log.log(_LEVELS[level], "%s: %s", place, said)
