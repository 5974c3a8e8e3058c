"""What every aggregate must hold in the end, folded from the flights by plain Python.

Nothing is shared with the code that sends the updates, so that a mistake there shows up as a
difference instead of cancelling out.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from examples.flights.flights import Flight

Key: TypeAlias = tuple[str, str]
"""Entity type and entity id."""


class Fact(NamedTuple):
    """The value of one feature, and the newest event time behind it in microseconds."""

    value: int | str
    event_time: int


@dataclass
class Vector:
    """One aggregate. Each update changes `flights`, so each must have made one version."""

    version: int = 0
    features: dict[str, Fact] = field(default_factory=dict)


Truth: TypeAlias = dict[Key, Vector]


def fold(flights: Iterable[Flight]) -> Truth:
    """The vector of each entity after all `flights`, in whatever order they come."""
    truth: Truth = {}
    for flight in flights:
        for key in (
            ("aircraft", flight.tailnum),
            ("carrier", flight.carrier),
            ("airport", flight.origin),
        ):
            if key[1] is not None:
                _add(truth.setdefault((key[0], key[1]), Vector()), flight)
    return truth


def _add(vector: Vector, flight: Flight) -> None:
    now, facts = flight.event_time, vector.features
    vector.version += 1
    _sum(facts, "flights", 1, now)
    _sum(facts, "distance", flight.distance, now)
    if flight.cancelled:
        _sum(facts, "cancelled", 1, now)
    _newest(facts, "last_destination", Fact(flight.destination, now))
    if flight.delay is not None:
        _newest(facts, "last_delay", Fact(flight.delay, now))
        _largest(facts, "longest_delay", flight.delay, now)


def _sum(facts: dict[str, Fact], name: str, amount: int, now: int) -> None:
    total, time = facts.get(name, Fact(0, now))
    assert isinstance(total, int)
    facts[name] = Fact(total + amount, max(time, now))


def _largest(facts: dict[str, Fact], name: str, value: int, now: int) -> None:
    largest, time = facts.get(name, Fact(value, now))
    assert isinstance(largest, int)
    facts[name] = Fact(max(largest, value), max(time, now))


def _newest(facts: dict[str, Fact], name: str, fact: Fact) -> None:
    if name not in facts or facts[name].event_time < fact.event_time:
        facts[name] = fact
