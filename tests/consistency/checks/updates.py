"""What was promised of single updates."""

from collections.abc import Iterator

from tests.consistency.evidence import Evidence
from tests.consistency.operations import Kind, Verdict


def acknowledged_updates_are_there_once(evidence: Evidence) -> Iterator[str]:
    for operation, part, places in evidence.parts():
        if operation.verdict is Verdict.ACKNOWLEDGED and len(places) != 1:
            yield f"{operation.request.operation} on {part.key} is there {len(places)} times"


def unknown_updates_are_there_at_most_once(evidence: Evidence) -> Iterator[str]:
    for operation, part, places in evidence.parts():
        if operation.verdict is Verdict.UNKNOWN and len(places) > 1:
            yield f"{operation.request.operation} on {part.key} is there {len(places)} times"


def refused_updates_are_not_there(evidence: Evidence) -> Iterator[str]:
    for operation, part, places in evidence.parts():
        if operation.verdict is Verdict.REFUSED and places:
            reasons = {attempt.answer.reason for attempt in operation.attempts}
            name = operation.request.operation
            yield f"{name} on {part.key}, refused with {sorted(reasons)}, is there"


def every_change_was_asked_for(evidence: Evidence) -> Iterator[str]:
    for line in evidence.lines.values():
        for entry, maker in zip(line.entries, line.makers, strict=True):
            if maker is None:
                yield f"{line.key}, version {entry.change.version}, is nobody's"
            elif line.key not in {part.key for part in maker.request.parts}:
                yield f"{maker.request.operation} changed {line.key} without being asked to"
            elif entry.change.deleted != (maker.request.kind is Kind.DELETE):
                yield f"{maker.request.operation} deleted {line.key}, or did not"


def updates_of_many_aggregates_are_whole(evidence: Evidence) -> Iterator[str]:
    for name, places in evidence.places.items():
        parts = evidence.operations[name].request.parts
        if len(parts) > 1:
            transactions = {place.line.entries[place.entry].transaction for place in places}
            if len(transactions) != 1 or len(places) < len(parts):
                yield f"{name} changed {len(places)} of {len(parts)} aggregates at {transactions}"


def answers_tell_the_version_that_was_made(evidence: Evidence) -> Iterator[str]:
    for name, places in evidence.places.items():
        made = {place.line.key: place for place in places}
        for attempt in evidence.operations[name].attempts:
            for seen in attempt.answer.seen:
                place = made.get(seen.key)
                if place is None:
                    continue
                version = place.line.entries[place.entry].change.version
                if seen.version != version:
                    yield f"{name} made version {version} of {seen.key}, not {seen.version}"
