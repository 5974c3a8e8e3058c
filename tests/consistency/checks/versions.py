"""What was promised of the sequence of versions."""

from collections.abc import Iterator

from tests.consistency.evidence import Evidence
from tests.consistency.history import Entry
from tests.consistency.key_history import Line, commit_time_of
from tests.consistency.outcomes import Operation


def versions_are_dense(evidence: Evidence) -> Iterator[str]:
    """In each incarnation 1, 2, 3, …, up to a deletion or to now; what was erased is left out."""
    for line in evidence.lines.values():
        yield from _gaps(line)


def commit_times_rise(evidence: Evidence) -> Iterator[str]:
    """Each version is later than the one before it, and late values later than their version.

    Who makes an aggregate has read the time before it did, and does not notice who deletes or
    erases it meanwhile.
    """
    for line in evidence.lines.values():
        last = ended = 0
        for number, (entry, maker) in enumerate(zip(line.entries, line.makers, strict=True)):
            time = commit_time_of(entry)
            overtaken = _makes(entry) and maker is not None and maker.invoked <= ended
            if time <= last and not overtaken:
                yield f"{line.key}, version {entry.change.version}, is not later than before it"
            if entry.advances:
                last, ended = time, line.acknowledged[number]


def _gaps(line: Line) -> Iterator[str]:
    uid, version = "", 0
    ended: set[str] = set()
    for entry, maker in zip(line.entries, line.makers, strict=True):
        change = entry.change
        where = f"{line.key}, version {change.version}"
        if change.uid in ended:
            yield f"{where}, belongs to an incarnation that had ended"
        if version == 0:
            uid = change.uid
            if _erases(maker):
                version = change.version - 1
        if change.uid != uid:
            yield f"{where}, belongs to a second incarnation"
        if change.version != version + entry.advances:
            yield f"{where}, follows version {version}"
        version = change.version
        if change.deleted:
            ended.add(uid)
            uid, version = "", 0


def _erases(maker: Operation | None) -> bool:
    return maker is not None and maker.request.erase_history


def _makes(entry: Entry) -> bool:
    """Whether an incarnation begins with an entry."""
    return entry.advances and entry.change.version == 1
