"""What others write to standard error, as lines of the log.

gRPC's core, and whatever else is written in C, knows nothing of Python's logging: it writes to file
descriptor 2, in a form of its own. Among it is what no one else tells, such as why a handshake
failed.
"""

import faulthandler
import logging
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, TextIO

_STANDARD_ERROR: Final = 2
_CHUNK: Final = 65_536
_LONGEST: Final = 16_384
"""Bytes after which a line that does not end is cut."""
_CLOSING: Final = 1.0
"""Seconds for which the last lines are waited for."""

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


@contextmanager
def true_standard_error() -> Iterator[TextIO]:
    """Standard error, under another file descriptor: for the log itself to be written to."""
    descriptor = os.dup(_STANDARD_ERROR)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as stream:
        yield stream


@contextmanager
def others_logged(true: TextIO) -> Iterator[None]:
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
