"""What was promised of updates that leave all as it was: the history does not tell of them."""

from collections.abc import Iterator

from tests.consistency.evidence import Evidence
from tests.consistency.outcomes import Operation


def rehearsals_change_nothing(evidence: Evidence) -> Iterator[str]:
    for name, operation in evidence.operations.items():
        if operation.request.validate_only and evidence.places.get(name):
            yield f"{name} was only to be checked, and is there"


def rehearsals_tell_what_would_come(evidence: Evidence) -> Iterator[str]:
    """The version after one that was current while they were under way."""
    for operation, part, _ in evidence.parts():
        told = operation.told(part.key)
        if not operation.request.validate_only or told is None:
            continue
        before = told.version - 1
        if not _was_current(evidence, operation, part.key, before):
            yield f"{operation.request.operation} on {part.key} was told of version {told.version}"


def rehearsals_give_no_etag(evidence: Evidence) -> Iterator[str]:
    """Another update may make the version that they tell of, with other features."""
    for operation, part, _ in evidence.parts():
        told = operation.told(part.key)
        if operation.request.validate_only and told is not None and told.etag:
            yield f"{operation.request.operation} on {part.key} was told the etag {told.etag}"


def what_is_left_as_it_was_is_current(evidence: Evidence) -> Iterator[str]:
    """An update that changes nothing tells of a version that was current meanwhile."""
    for operation, part, _ in evidence.parts():
        told = operation.told(part.key)
        if part.leaves_a_mark or told is None:
            continue
        if not _was_current(evidence, operation, part.key, told.version):
            yield f"{operation.request.operation} left {part.key} at version {told.version}"


def _was_current(evidence: Evidence, operation: Operation, key: str, version: int) -> bool:
    line = evidence.lines[key]
    return evidence.may_be_erased(operation, key) or any(
        line.was_current(state, operation.invoked, operation.acknowledged)
        for state in line.states_of_version(version)
    )
