"""What was promised of deletions that erase the history."""

from collections.abc import Iterator

from tests.consistency.evidence import Evidence
from tests.consistency.key_history import Line


def what_was_erased_is_gone(evidence: Evidence) -> Iterator[str]:
    """Nothing is left of the incarnations before it but the fact of the deletion."""
    for line in evidence.lines.values():
        for number, maker in enumerate(line.makers):
            if maker is not None and maker.request.erase_history:
                for version in _left(line, number):
                    yield f"{line.key}, version {version}, outlived {maker.request.operation}"


def what_was_erased_is_not_replayed(evidence: Evidence) -> Iterator[str]:
    """Its request ids are gone too: what is asked again is applied anew, and is there."""
    for name, operation in evidence.operations.items():
        parts = operation.request.parts
        if len(parts) != 1 or not parts[0].leaves_a_mark or evidence.places.get(name):
            continue
        erased_until = evidence.lines[parts[0].key].erased_until
        for attempt in operation.attempts:
            if not 0 < erased_until < attempt.invoked:
                continue
            if any(seen.replayed for seen in attempt.answer.seen):
                yield f"{name} on {parts[0].key} was replayed after it was erased"


def _left(line: Line, deletion: int) -> Iterator[int]:
    later = {e.change.uid for e in line.entries[deletion + 1 :] if e.advances}
    later.discard(line.entries[deletion].change.uid)
    for number, entry in enumerate(line.entries):
        if number < deletion or (number > deletion and entry.change.uid not in later):
            yield entry.change.version
