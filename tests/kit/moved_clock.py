"""A PostgreSQL whose clock a test moves, by libfaketime.

Only the clock that can be set is moved, as by an operator or a bad time server: time-outs and
pauses go by the monotonic one.
"""

import importlib.util
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Final

from tests.kit.postgres import Postgres, binaries_by_version, folder_for_postgres, prepared

_PROGRAMS: Final = ("initdb", "pg_controldata", "pg_ctl", "postgres")
_LIBRARY: Final = "libfaketime.so.1"
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
        # Where the user of the cluster finds it.
        shutil.copyfile(_found_libfaketime(), binaries / _LIBRARY)
        (binaries / _LIBRARY).chmod(0o755)
        server = prepared(folder / "postgres", binaries)
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
        "LD_PRELOAD": wrapper.parent / _LIBRARY,
        "FAKETIME_TIMESTAMP_FILE": clock,
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    settings = " ".join(f"{name}={shlex.quote(str(value))}" for name, value in variables.items())
    wrapper.write_text(f'#!/bin/sh\n{settings} exec {shlex.quote(str(program))} "$@"\n')
    wrapper.chmod(0o755)


@cache
def libfaketime() -> Path | None:
    """The library of the wheel, or Debian's where that was built for another processor."""
    wheel = importlib.util.find_spec("libfaketime")
    folders = (wheel and wheel.submodule_search_locations) or ()
    found = [Path(folder) / "vendor/libfaketime/src" / _LIBRARY for folder in folders]
    found += Path("/usr/lib").glob(f"*/faketime/{_LIBRARY}")
    return next(filter(_moves_the_clock, found), None)


def _found_libfaketime() -> Path:
    if (found := libfaketime()) is None:
        raise FileNotFoundError(
            f"{_LIBRARY} for this processor; on Debian: apt-get install faketime"
        )
    return found


def _moves_the_clock(library: Path) -> bool:
    """Whether programs take it; else they run as if it were not there."""
    program = (sys.executable, "-I", "-S", "-c", "import time; print(int(time.time()))")
    moved = {"LD_PRELOAD": str(library), "FAKETIME": "@2001-01-01 00:00:00"}
    said = subprocess.run(program, env=moved, capture_output=True, text=True, check=True).stdout
    return int(said) < datetime(2002, 1, 1, tzinfo=UTC).timestamp()
