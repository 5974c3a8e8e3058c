"""Feast, in a process of its own, as a workload."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, Self

from benchmarks.rig import Rig
from benchmarks.workload import Sample, Target

READS: Final = Path(__file__).with_name("reads.py")
WARM_UP_SECONDS: Final = 1.0


class FeastProcess:
    """Feast, loaded."""

    def __init__(self, orders: IO[str], results: IO[str]) -> None:
        self._orders = orders
        self._results = results

    @classmethod
    @contextmanager
    def started(cls, python: Path, arguments: list[str], folder: Path) -> Iterator[Self]:
        process = subprocess.Popen(
            (str(python), str(READS), *arguments),
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            for line in process.stdout:  # Feast says this and that first
                if line == "ready\n":
                    break
            yield cls(process.stdin, process.stdout)
        finally:
            process.stdin.close()
            process.wait()

    def measure(self, seconds: float, threads: int) -> Sample:
        self._orders.write(f"{seconds} {threads}\n")
        self._orders.flush()
        rate, p99_ms = map(float, self._results.readline().split())
        return Sample(rate=rate, p99_ms=p99_ms)


@dataclass
class FeastReads:
    """get_online_features of 100 entities, in process."""

    threads: int
    feast: FeastProcess
    unit: str = "aggregates"
    target: Target | None = None
    name: str = field(init=False)

    def __post_init__(self) -> None:
        self.name = f"feast, {self.threads} thread{'s' if self.threads > 1 else ''}"

    def prepare(self, rig: Rig) -> None:
        self.feast.measure(WARM_UP_SECONDS, self.threads)

    def measure(self, seconds: float) -> Sample:
        return self.feast.measure(seconds, self.threads)
