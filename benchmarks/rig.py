"""The servers that the workloads share: each is started when it is first asked for."""

import sys
import tempfile
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks import database, preload, servers
from benchmarks.servers import Server


class Rig:
    """Starts servers on demand and stops all of them when it closes."""

    def __init__(self, aggregates: int) -> None:
        self.aggregates = aggregates
        self.postgresql: str | None = None  # its version, once Featom runs
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    @cached_property
    def folder(self) -> Path:
        """A folder that goes away with the rig."""
        return Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="featom-bench-")))

    def start_echo(self, python: Path) -> Server:
        """An echo server of its own, run by that interpreter."""
        return self._stack.enter_context(servers.echo(python, self.folder))

    @cached_property
    def echo(self) -> Server:
        """An echo server on the packages that Featom runs on."""
        return self.start_echo(Path(sys.executable))

    @cached_property
    def featom(self) -> Server:
        """A Featom server that holds `aggregates` aggregates."""
        server = self._stack.enter_context(servers.featom(self._data, self.folder))
        preload.run(server.address, self.aggregates)
        database.analyze(self._data)
        self.postgresql = database.version(self._data)
        return server

    @property
    def _data(self) -> Path:
        return self.folder / "data"
