"""A PostgreSQL whose clock a test moves, by libfaketime (Debian's package faketime).

Only the clock that can be set is moved, as by an operator or a bad time server: time-outs and
pauses go by the monotonic one.
"""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from server.embedded_postgres import EmbeddedPostgres
from tests.kit.postgres import Postgres, binaries_by_version, folder_for_postgres

_PROGRAMS: Final = ("initdb", "pg_ctl", "postgres")
_NO_TIME: Final = timedelta()


@dataclass(frozen=True)
class MovedClock:
    """The clock of one PostgreSQL."""

    postgres: Postgres
    _file: Path

    def move(self, by: timedelta) -> None:
        """Let it be ahead of the real one by so much from now on, or behind."""
        self._file.write_text(f"{by.total_seconds():+.0f}")


@contextmanager
def postgres_with_moved_clock(version: str) -> Iterator[MovedClock]:
    """`version` is a key of tests.postgres.binaries_by_version; the clock is right at first."""
    with folder_for_postgres() as folder:
        folder.chmod(0o755)
        binaries, file = folder / "bin", folder / "clock"
        binaries.mkdir(mode=0o755)
        for program in _PROGRAMS:
            _wrap(binaries_by_version()[version] / program, binaries / program, file)
        server = EmbeddedPostgres(folder / "postgres", binaries)
        clock = MovedClock(Postgres(server.dsn), file)
        clock.move(_NO_TIME)
        file.chmod(0o644)
        server.start()
        try:
            yield clock
        finally:
            clock.move(_NO_TIME)
            server.stop()


def _wrap(program: Path, wrapper: Path, clock: Path) -> None:
    variables = {
        "LD_PRELOAD": _library(),
        "FAKETIME_TIMESTAMP_FILE": clock,
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    settings = " ".join(f"{name}={shlex.quote(str(value))}" for name, value in variables.items())
    wrapper.write_text(f'#!/bin/sh\n{settings} exec {shlex.quote(str(program))} "$@"\n')
    wrapper.chmod(0o755)


def _library() -> Path:
    found = [*Path("/usr/lib").glob("*/faketime/libfaketime.so.1")]
    if not found:
        raise FileNotFoundError("libfaketime.so.1; on Debian: apt-get install faketime")
    return found[0]
