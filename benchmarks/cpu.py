"""Processor time: of one process, and of everybody else on the machine.

The time that a server uses for a call is steadier than its rate while others use the machine.
Linux only; elsewhere nothing is known.
"""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

PROCESSES = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")


def seconds(pid: int) -> float | None:
    """User and system time of the process so far; None if it is not known."""
    fields = _stat(pid)
    return None if fields is None else (int(fields[11]) + int(fields[12])) / TICKS


def seconds_of_others(folder: Path) -> float | None:
    """The time so far of all processes but ours; None if it is not known.

    Ours are this process, its descendants, and whoever works in `folder`, as PostgreSQL does.
    """
    try:
        fields = (PROCESSES / "stat").read_text().split(maxsplit=8)
    except OSError:
        return None
    user, nice, system, _, _, interrupts, soft_interrupts = map(int, fields[1:8])
    busy = (user + nice + system + interrupts + soft_interrupts) / TICKS
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return busy - seconds_of_ours(folder) - ended.ru_utime - ended.ru_stime


def seconds_of_ours(folder: Path) -> float:
    """The time so far of this process, its descendants, and whoever works in `folder`."""
    return sum(seconds(pid) or 0 for pid in _ours(folder))


def _ours(folder: Path) -> Iterator[int]:
    parents = {}
    for entry in PROCESSES.iterdir():
        if entry.name.isdecimal() and (fields := _stat(int(entry.name))):
            parents[int(entry.name)] = int(fields[1])
    for pid in parents:
        if _descends(pid, parents) or _works_in(pid, folder):
            yield pid


def _descends(pid: int | None, parents: dict[int, int]) -> bool:
    while pid is not None and pid != os.getpid():
        pid = parents.get(pid)
    return pid is not None


def _works_in(pid: int, folder: Path) -> bool:
    try:
        return (PROCESSES / str(pid) / "cwd").readlink().is_relative_to(folder)
    except OSError:  # it ended, or belongs to somebody else
        return False


def _stat(pid: int) -> list[str] | None:
    try:
        line = (PROCESSES / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The name of the program stands in brackets and may hold anything.
    return line.rpartition(")")[2].split()
