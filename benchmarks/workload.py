"""What a row of the table needs: a workload is prepared once and measured in many short rounds."""

from dataclasses import dataclass
from typing import Protocol

from benchmarks.rig import Rig


@dataclass(frozen=True)
class Sample:
    """What one round of one workload gave."""

    rate: float
    p50_ms: float | None = None
    p99_ms: float | None = None
    cpu_us: float | None = None  # processor time of the server's process for each unit


@dataclass(frozen=True)
class Target:
    """The rate that a workload should reach: absolute, or as a share of another workload's."""

    minimum: float
    relative_to: str | None = None

    def __str__(self) -> str:
        if self.relative_to:
            return f"≥ {self.minimum:g} of {self.relative_to}"
        return f"≥ {self.minimum:,.0f}/s"


class Unverified(Exception):
    """The answers were not the ones that the workload is about, so its rate means nothing."""


class Workload(Protocol):
    """One row of the table."""

    @property
    def name(self) -> str:
        """The name in the table and for `--only`."""

    @property
    def unit(self) -> str:
        """What the rate counts, such as `calls`."""

    @property
    def target(self) -> Target | None:
        """The rate to reach; None if the row is there to compare with."""

    def prepare(self, rig: Rig) -> None:
        """Start or reuse what the rounds need; it ends when the rig closes."""

    def measure(self, seconds: float) -> Sample:
        """Run one round of about `seconds`, a warm-up not counted.

        Must raise Unverified when not (nearly) all answers were right.
        """
