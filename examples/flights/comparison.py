"""Compares what the server holds with the truth."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from examples.flights.truth import Fact, Key, Truth, Vector


class Difference(NamedTuple):
    """Something that is not as it should be."""

    key: Key
    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        entity = "/".join(self.key)
        return f"{entity} {self.what}: expected {self.expected}, found {self.found}"


@dataclass
class Comparison:
    """What was compared, and what was not as it should be."""

    aggregates: int = 0
    features: int = 0
    differences: list[Difference] = field(default_factory=list)


def compare(truth: Truth, found: Mapping[Key, Vector]) -> Comparison:
    """Compare each version, and value and event time of each feature, of each aggregate."""
    comparison = Comparison()
    for key, expected in truth.items():
        comparison.aggregates += 1
        comparison.features += len(expected.features)
        comparison.differences.extend(_differences(key, expected, found.get(key, Vector())))
    return comparison


def _differences(key: Key, expected: Vector, found: Vector) -> Iterator[Difference]:
    if found.version != expected.version:
        yield Difference(key, "version", str(expected.version), str(found.version))
    for name in sorted(expected.features.keys() | found.features.keys()):
        wanted, got = expected.features.get(name), found.features.get(name)
        if wanted != got:
            yield Difference(key, name, _show(wanted), _show(got))


def _show(fact: Fact | None) -> str:
    if fact is None:
        return "nothing"
    time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=fact.event_time)
    return f"{fact.value} ({time:%Y-%m-%d %H:%M:%S.%f})"
