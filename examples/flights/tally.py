"""What a client counted while it replayed its flights."""

from array import array
from collections import Counter
from dataclasses import dataclass, field

from featom.v1.feature_store_pb2 import UpdateFeaturesResponse


def _durations() -> "array[float]":
    return array("d")


@dataclass
class Tally:
    """The counts of one client, or of several merged."""

    flights: int = 0
    late_values: int = 0
    replays: int = 0
    """Answers that an earlier attempt with the same request id had already earned."""
    retries: Counter[str] = field(default_factory=Counter)
    """Attempts that had to be repeated, by the reason that the server gave."""
    latencies: "dict[str, array[float]]" = field(default_factory=dict)
    """Seconds from the first attempt to the answer of each update, by entity type."""

    def add(self, entity_type: str, seconds: float, response: UpdateFeaturesResponse) -> None:
        """Count one answered update."""
        self.latencies.setdefault(entity_type, _durations()).append(seconds)
        self.late_values += len(response.stale_features)
        self.replays += response.replayed

    def merge(self, other: "Tally") -> None:
        """Add what another client counted."""
        self.flights += other.flights
        self.late_values += other.late_values
        self.replays += other.replays
        self.retries.update(other.retries)
        for entity_type, seconds in other.latencies.items():
            self.latencies.setdefault(entity_type, _durations()).extend(seconds)

    @property
    def updates(self) -> int:
        """Updates that were answered."""
        return sum(map(len, self.latencies.values()))
