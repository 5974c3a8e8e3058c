"""What was promised of single updates."""

from collections.abc import Iterator

from tests.consistency.evidence import Evidence
from tests.consistency.key_history import commit_time_of
from tests.consistency.operations import Kind, Verdict


def acknowledged_updates_are_there_once(evidence: Evidence) -> Iterator[str]:
    """Or not at all, if they were to leave everything as it was."""
    for operation, part, places in evidence.parts():
        if operation.verdict is not Verdict.ACKNOWLEDGED or operation.request.validate_only:
            continue
        if not places and evidence.may_be_erased(operation, part.key):
            continue
        if len(places) != part.leaves_a_mark:
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
    """Of what leaves a mark and was not erased, all is there, by one transaction."""
    for name, places in evidence.places.items():
        operation = evidence.operations[name]
        parts = operation.request.parts
        if len(parts) == 1:
            continue
        transactions = {place.entry.transaction for place in places}
        found = {place.line.key for place in places}
        missing = [
            part.key
            for part in parts
            if part.leaves_a_mark
            and part.key not in found
            and not evidence.may_be_erased(operation, part.key)
        ]
        if len(transactions) != 1 or missing:
            yield f"{name} did not change {missing}, and the others at {transactions}"


def answers_tell_the_version_that_was_made(evidence: Evidence) -> Iterator[str]:
    for name, places in evidence.places.items():
        if evidence.may_be_forgotten(evidence.operations[name]):
            continue
        made = {place.line.key: place.entry.change for place in places}
        for attempt in evidence.operations[name].attempts:
            for seen in attempt.answer.seen:
                change = made.get(seen.key)
                if change is not None and seen.version != change.version:
                    yield f"{name} made version {change.version} of {seen.key}, not {seen.version}"


def answers_tell_when_and_what_was_late(evidence: Evidence) -> Iterator[str]:
    """The commit time of the version that was made, and the features that came too late for it."""
    for name, places in evidence.places.items():
        if evidence.may_be_forgotten(evidence.operations[name]):
            continue
        made = {place.line.key: place.entry for place in places}
        for attempt in evidence.operations[name].attempts:
            for seen in attempt.answer.seen:
                entry = made.get(seen.key)
                if entry is None:
                    continue
                if entry.advances and seen.update_time != commit_time_of(entry):
                    yield f"{name} changed {seen.key} at another time than {seen.update_time}"
                late = tuple(sorted(entry.change.late_features))
                if seen.stale != late:
                    yield f"{name} was told that {seen.stale} of {seen.key} were late, not {late}"
