"""A command in a real pseudo-terminal, as a person sees and interrupts it."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from tests.kit.program import FEATOM
from tests.kit.serving import ROOT

BOUND: Final = 90.0
"""Seconds that a command may take, on however slow a machine."""
CTRL_C: Final = b"\x03"
_TAKE_THE_TERMINAL: Final = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    " os.execv(sys.argv[1], sys.argv[1:])"
)
"""So that Ctrl-C goes to the command, as it does in a shell."""


class Terminal:
    """The command that runs in it, and what it has shown so far."""

    def __init__(self, process: "subprocess.Popen[bytes]", keyboard: int) -> None:
        self._process = process
        self._keyboard = keyboard
        self._shown = b""

    @property
    def shown(self) -> str:
        """With all that moves the cursor and makes colours."""
        return self._shown.decode(errors="replace")

    def press(self, keys: bytes) -> None:
        os.write(self._keyboard, keys)

    def wait_for(self, holds: Callable[[str], bool]) -> str:
        """What is shown, once that holds of it. Fails if the command ends first, or takes long."""
        latest = time.monotonic() + BOUND
        while not holds(self.shown):
            assert self._read_more(latest), f"not shown:\n{self.shown}"
        return self.shown

    def end(self) -> int:
        """The exit code, when the command has ended by itself."""
        latest = time.monotonic() + BOUND
        while self._read_more(latest):
            pass
        return self._process.wait(max(0.1, latest - time.monotonic()))

    def _read_more(self, latest: float) -> bool:
        """False when the command has closed the terminal."""
        ready, _, _ = select.select([self._keyboard], [], [], max(0.0, latest - time.monotonic()))
        assert ready, f"takes too long:\n{self.shown}"
        try:
            more = os.read(self._keyboard, 65_536)
        except OSError:  # so a pseudo-terminal ends
            return False
        self._shown += more
        return bool(more)


@contextmanager
def in_terminal(
    arguments: Sequence[str], columns: int = 100, **environment: str
) -> Iterator[Terminal]:
    """`featom` with these arguments, in a terminal of so many columns."""
    keyboard, screen = pty.openpty()
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", _TAKE_THE_TERMINAL, *FEATOM, *arguments],
        stdin=screen,
        stdout=screen,
        stderr=screen,
        cwd=ROOT,
        env=_environment(environment),
    )
    os.close(screen)
    try:
        yield Terminal(process, keyboard)
    finally:
        process.kill()
        process.wait()
        os.close(keyboard)


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    quiet = {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE", "CI"}
    kept = {name: text for name, text in os.environ.items() if "FEATOM_" not in name}
    return {name: text for name, text in kept.items() if name not in quiet} | {
        "TERM": "xterm-256color",
        **given,
    }
