"""A file that lines are appended to, and that may be moved away at any time."""

import os
import sys
from pathlib import Path

STDOUT = "-"


class LineFile:
    """A line is written whole, if it takes several tries too."""

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
