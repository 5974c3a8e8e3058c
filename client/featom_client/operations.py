"""What an update can do to a feature, beside setting it to a value."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from featom_client.contract import AppendOperation, FeatureUpdate
from featom_client.values import Value, encode, to_timestamp


class Operation(ABC):
    """Something else than a value that replaces the one before."""

    @abstractmethod
    def on(self, name: str) -> FeatureUpdate:
        """Raises ValueError or TypeError, saying what is wrong with its value."""


@dataclass(frozen=True)
class Increment(Operation):
    """Adds an int or a float; a missing feature counts as 0. Never late."""

    value: Value

    def on(self, name: str) -> FeatureUpdate:
        return FeatureUpdate(name=name, increment=encode(self.value))


@dataclass(frozen=True)
class Maximum(Operation):
    """Keeps the larger of the value and this int, float or datetime. Never late."""

    value: Value

    def on(self, name: str) -> FeatureUpdate:
        return FeatureUpdate(name=name, maximum=encode(self.value))


@dataclass(frozen=True)
class Minimum(Operation):
    """Keeps the smaller of the value and this int, float or datetime. Never late."""

    value: Value

    def on(self, name: str) -> FeatureUpdate:
        return FeatureUpdate(name=name, minimum=encode(self.value))


@dataclass(frozen=True)
class Append(Operation):
    """Appends one element, or a list of them, and keeps the newest `keep`; 0: all."""

    value: Value
    keep: int = 0

    def on(self, name: str) -> FeatureUpdate:
        appended = AppendOperation(value=encode(self.value), max_length=self.keep)
        return FeatureUpdate(name=name, append=appended)


@dataclass(frozen=True)
class Remove(Operation):
    """Removes the feature."""

    def on(self, name: str) -> FeatureUpdate:
        return FeatureUpdate(name=name, remove=True)


@dataclass(frozen=True)
class At(Operation):
    """A value, or an operation, whose event happened at a time of its own."""

    change: Value | Operation
    event_time: datetime

    def on(self, name: str) -> FeatureUpdate:
        update = feature_update(name, self.change)
        if update.HasField("event_time"):
            raise ValueError("has two event times")
        update.event_time.CopyFrom(to_timestamp(self.event_time))
        return update


Change = Value | Operation
"""What to do with one feature: a value sets it."""

inc = Increment
maximum = Maximum
minimum = Minimum
append = Append
remove = Remove
at = At


def feature_update(name: str, change: Change) -> FeatureUpdate:
    """Raises ValueError or TypeError, saying what is wrong with the value."""
    if isinstance(change, Operation):
        return change.on(name)
    return FeatureUpdate(name=name, set=encode(change))


def merged(
    features: Mapping[str, Change] | None, named: Mapping[str, Change]
) -> Mapping[str, Change]:
    """The changes of both. Raises ValueError if both name a feature."""
    if not features:
        return named
    if twice := sorted(features.keys() & named.keys()):
        raise ValueError(f"named twice: {', '.join(twice)}")
    return {**features, **named}
