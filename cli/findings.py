"""What a check has found, grouped by what is broken: a million aggregates may break one rule."""

from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from featom.v1 import entity_type_service_pb2 as pb

_SHOWN: Final = 20
_EXAMPLES: Final = 5
_MOST: Final = 10_000
"""Groups that are kept: of features that nobody declared there may be any."""


class Group(NamedTuple):
    """One thing that aggregates break."""

    type: str
    subject: str


class Findings:
    """Counts aggregates, and keeps a few examples of each sort."""

    def __init__(self) -> None:
        self._counts: Counter[Group] = Counter()
        self._descriptions: dict[Group, str] = {}
        """Of the first one each."""
        self._examples: dict[Group, list[str]] = {}
        self._beyond = 0
        """Findings that are in no group."""

    def add(self, aggregate: pb.AggregateViolations) -> None:
        """Take note of what one aggregate breaks."""
        descriptions = {
            Group(each.type, each.subject): each.description for each in aggregate.violations
        }
        for group, description in descriptions.items():
            if group not in self._counts and len(self._counts) >= _MOST:
                self._beyond += 1
                continue
            self._counts[group] += 1
            self._descriptions.setdefault(group, description)
            examples = self._examples.setdefault(group, [])
            if len(examples) < _EXAMPLES:
                examples.append(aggregate.entity_id)

    def lines(self) -> Iterator[str]:
        """For people; what is broken most often comes first."""
        most = self._counts.most_common(_SHOWN)
        for group, count in most:
            examples = ", ".join(self._examples[group])
            more = ", …" if count > len(self._examples[group]) else ""
            aggregates = "aggregate" if count == 1 else "aggregates"
            yield f"{group.type} {group.subject}: {count:,} {aggregates}: {examples}{more}"
            yield f"    {self._examples[group][0]}: {self._descriptions[group]}"
        hidden = sum(self._counts.values()) - sum(count for _, count in most) + self._beyond
        if hidden:
            yield f"… and {hidden:,} findings of other sorts"
