"""Which PostgreSQL processes work on a cluster's folder.

`postmaster.pid` alone does not say: after a crash its number may be a stranger's, a zombie's or
nobody's. Where there is /proc, a process of the cluster is one that works in its folder; elsewhere
one that is called postgres must do.

A look that fails, for want of a file descriptor or of memory, says nothing of these processes: it
raises OSError.
"""

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

PROCESSES: Final = Path("/proc")
PID_FILE: Final = "postmaster.pid"
_GONE: Final = (FileNotFoundError, ProcessLookupError)
"""What a look at a process raises that has ended, also while it is looked at."""
_PATIENCE: Final = 30.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Postmaster:
    """The process that `postmaster.pid` names."""

    pid: int
    started: datetime
    socket_folder: Path | None
    stand_alone: bool
    """Somebody runs `postgres --single` by hand."""


def running_postmaster(cluster: Path) -> Postmaster | None:
    """The postmaster of `cluster` if it is alive. Raises OSError if that cannot be seen."""
    postmaster = _read(cluster)
    if postmaster is None or not _is_alive(postmaster.pid, cluster):
        return None
    return postmaster


def kill_processes(cluster: Path) -> None:
    """SIGKILL the postmaster of `cluster` and its backends, and wait until they are gone.

    Raises TimeoutError if that takes too long, or another OSError if they cannot be seen.
    """
    deadline = time.monotonic() + _PATIENCE
    while pids := _processes(cluster):
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {pids} of {cluster} do not end")
        for pid in pids:
            _kill(pid)
        time.sleep(0.02)


def _processes(cluster: Path) -> list[int]:
    """The postmaster first: it would start others in the place of its children."""
    postmaster = running_postmaster(cluster)
    pids = [postmaster.pid] if postmaster else []
    if PROCESSES.exists():
        numbers = (int(entry.name) for entry in PROCESSES.iterdir() if entry.name.isdecimal())
        pids += [pid for pid in numbers if pid not in pids and _is_backend(pid, cluster)]
    return pids


def _is_alive(pid: int, cluster: Path) -> bool:
    if PROCESSES.exists():
        return _works_in(pid, cluster)
    command = ("ps", "-p", str(pid), "-o", "comm=")
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603
    return Path(said.strip()).name == "postgres"


def _is_backend(pid: int, cluster: Path) -> bool:
    """Also of a postmaster that is gone; but not an operator's shell in the folder."""
    try:
        name = (PROCESSES / str(pid) / "comm").read_text()
    except _GONE:
        return False
    return name == "postgres\n" and _works_in(pid, cluster)


def _works_in(pid: int, folder: Path) -> bool:
    try:
        return (PROCESSES / str(pid) / "cwd").samefile(folder)
    except (*_GONE, PermissionError):  # or a zombie, or another user's
        return False


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _read(cluster: Path) -> Postmaster | None:
    """None also for a file that is still being written."""
    try:
        lines = (cluster / PID_FILE).read_text().splitlines()
        number, started = int(lines[0]), int(lines[2])
    except (FileNotFoundError, NotADirectoryError, ValueError, IndexError):
        return None
    socket_folder = Path(lines[4]) if len(lines) > 4 and lines[4] else None
    return Postmaster(abs(number), datetime.fromtimestamp(started, UTC), socket_folder, number < 0)
