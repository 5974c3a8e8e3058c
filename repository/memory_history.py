"""The history of one entity in memory: what repository/reading reads from PostgreSQL."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from uuid import UUID

from application.working_copy import RecordedChange
from codec.event_time_fold import fold_by_event_time
from codec.historical_state import HistoricalState, fold
from domain.ports import (
    AtCommitTime,
    AtEventTime,
    AtVersion,
    ChangePosition,
    HistoryPage,
    HistoryQuery,
    PointInTime,
)
from domain.timestamp import EARLIEST, Timestamp
from repository.page_length import page_length

Changes = Sequence[RecordedChange]
"""Of one entity or one incarnation, in the order of their commits."""


def past_of(changes: Changes, point: PointInTime) -> tuple[UUID, HistoricalState] | None:
    """The aggregate as it was, and which incarnation that is of."""
    incarnations = [
        each for each in _incarnations(changes) if point.uid is None or point.uid == _uid(each)
    ]
    match point:
        case AtVersion(version):
            return _at_version(incarnations[-1], version) if incarnations else None
        case AtCommitTime(time):
            begun = [each for each in incarnations if each[0].change.commit_time <= time]
            return _at_version(begun[-1], _version(begun[-1], time)) if begun else None
        case AtEventTime(time):
            return next(_at_event_times(incarnations, time), None)


def page_of(changes: Changes, query: HistoryQuery) -> HistoryPage:
    """See domain.ports.AggregateReader.list_changes."""
    asked = [each for each in changes if query.uid in (None, each.change.uid)]
    if query.newest_first:
        asked.reverse()
    if query.after is not None:
        time = query.after.commit_time
        asked = [each for each in asked if _follows(each, time, newest_first=query.newest_first)]
    sizes = (len(each.encoded) for each in asked)
    page = asked[: page_length(sizes, query.limit, query.max_bytes)]
    end = _position(page[-1]) if len(page) < len(asked) else None
    return HistoryPage([each.encoded for each in page], end, EARLIEST)


def _incarnations(changes: Changes) -> Iterator[list[RecordedChange]]:
    for _, each in groupby(changes, key=lambda recorded: recorded.change.uid):
        yield list(each)


def _uid(incarnation: Changes) -> UUID:
    return incarnation[0].change.uid


def _position(recorded: RecordedChange) -> ChangePosition:
    change = recorded.change
    return ChangePosition(change.uid, change.version, change.commit_time)


def _follows(recorded: RecordedChange, time: Timestamp, *, newest_first: bool) -> bool:
    commit_time = recorded.change.commit_time
    return commit_time < time if newest_first else commit_time > time


def _at_version(incarnation: Changes, version: int) -> tuple[UUID, HistoricalState] | None:
    if incarnation[0].change.version != 1:
        return None  # it was erased: the rest tells of that
    past = fold(b"", (each.encoded for each in incarnation if each.change.version <= version))
    return (_uid(incarnation), past) if past.version == version > 0 else None


def _version(incarnation: Changes, time: Timestamp) -> int:
    return max(each.change.version for each in incarnation if each.change.commit_time <= time)


def _at_event_times(
    incarnations: Sequence[Changes], time: Timestamp
) -> Iterator[tuple[UUID, HistoricalState]]:
    """What each has at an event time, the newest first, back to a deletion up to that time."""
    for incarnation in reversed(incarnations):
        last = incarnation[-1].change
        if last.deleted and last.commit_time <= time:
            return
        past = fold_by_event_time((each.encoded for each in incarnation), time)
        if past is not None:
            yield _uid(incarnation), past
