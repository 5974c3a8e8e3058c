"""What one round of one workload of updates gave."""

from dataclasses import dataclass, field

from benchmarks.workload import Sample


@dataclass(frozen=True)
class WriteSample(Sample):
    """A sample, and what it took from PostgreSQL and from other writers."""

    postgres_us: float | None = None
    """Processor time of PostgreSQL for each update."""
    conflicts: float | None = None
    """The share of attempts in which another writer was faster."""
    failures: dict[str, int] = field(default_factory=dict)
    """Updates that failed, by the name of the error."""
