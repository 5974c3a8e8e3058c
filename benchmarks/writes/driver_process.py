"""A driver as its master sees it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Self

from benchmarks.writes.orders import Order, Result, dump, load_result

STOP_SECONDS = 30


class DriverFailed(Exception):
    """A driver ended, or never began; why stands on stderr."""


class DriverProcess:
    """Takes one order at a time."""

    def __init__(self, orders: IO[str], results: IO[str]) -> None:
        self._orders = orders
        self._results = results

    @classmethod
    @contextmanager
    def started(cls, module: str, *arguments: str) -> Iterator[Self]:
        """Run a module that obeys, until the end of the context."""
        process = subprocess.Popen(
            (sys.executable, "-m", module, *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            if process.stdout.readline() != "ready\n":
                raise DriverFailed(module)
            yield cls(process.stdin, process.stdout)
        finally:
            process.stdin.close()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def begin(self, order: Order) -> None:
        """Begin to carry out an order; `result` waits for its end."""
        self._orders.write(dump(order))
        self._orders.flush()

    def result(self) -> Result:
        line = self._results.readline()
        if not line:
            raise DriverFailed
        return load_result(line)
