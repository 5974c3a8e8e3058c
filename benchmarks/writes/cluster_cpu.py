"""The processor time of PostgreSQL, all its processes together."""

from pathlib import Path
from typing import Final

PROCESSES: Final = Path("/proc")
NANOSECONDS: Final = 1e9


class ClusterCpu:
    """Counts from when it is made. Linux only; elsewhere nothing is known."""

    def __init__(self, cluster: Path) -> None:
        self._cluster = cluster
        self._before = _times(cluster)

    def seconds(self) -> float | None:
        """The time since then, without that of processes that have ended."""
        after = _times(self._cluster)
        if not after:
            return None
        return sum(time - self._before.get(pid, 0) for pid, time in after.items()) / NANOSECONDS


def _times(cluster: Path) -> dict[str, int]:
    times = {}
    for process in PROCESSES.glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(cluster):
                times[process.name] = int((process / "schedstat").read_text().split()[0])
        except OSError:  # it ended, or belongs to somebody else
            continue
    return times
