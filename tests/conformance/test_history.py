"""What domain.ports.AggregateReader promises of the past."""

from uuid import UUID

import pytest

from codec.historical_state import KEYFRAME_INTERVAL
from codec.timestamps import decode_timestamp
from domain.entity_key import EntityKey
from domain.ports import AtCommitTime, AtEventTime, AtVersion, PointInTime
from domain.timestamp import LATEST, MICROSECOND
from domain.update import Deletion
from featom.v1.aggregate_pb2 import FeatureAggregate
from tests.conformance.conftest import Repository
from tests.kit.reading import current, features, message_of, past_features
from tests.kit.samples import add, append, at_least, put, remove, update


async def test_every_version_is_read_as_it_was(repository: Repository, key: EntityKey) -> None:
    """Across keyframes, with values that were removed, late or unchanged in between."""
    served: list[FeatureAggregate] = []
    for number in range(2 * KEYFRAME_INTERVAL + 5):
        items = [add("sum", 1), put(f"f{number % 7}", number)]
        if number % 5 == 0:
            items.append(remove(f"f{(number + 3) % 7}"))
        outcome = await repository.update(update(*items, key=key, return_aggregate=True))
        await repository.update(update(put("sum", 0, 1), remove("none"), key=key))
        served.append(FeatureAggregate.FromString(outcome.state or b""))
    for version, state in enumerate(served, start=1):
        past = await repository.read_as_of(key, AtVersion(version))
        assert past is not None
        assert past.version == version
        assert message_of(past) == state


@pytest.mark.parametrize("version", [-1, 0, 4, 2**62])
async def test_a_version_that_never_was_is_not_found(
    repository: Repository, key: EntityKey, version: int
) -> None:
    for _ in range(3):
        await repository.update(update(add("f", 1), key=key))
    assert await repository.read_as_of(key, AtVersion(version)) is None


async def test_at_a_commit_time_the_version_of_that_time_is_read(
    repository: Repository, key: EntityKey
) -> None:
    outcomes = [await repository.update(update(add("f", 1), key=key)) for _ in range(5)]
    for version, outcome in enumerate(outcomes, start=1):
        at = outcome.update_time
        assert await past_features(repository, key, AtCommitTime(at)) == {"f": version}
        before = await past_features(repository, key, AtCommitTime(at - 1))
        assert before == ({"f": version - 1} if version > 1 else None)
    assert await past_features(repository, key, AtCommitTime(LATEST)) == {"f": 5}
    assert await past_features(repository, key, AtCommitTime(0)) is None


async def test_a_commit_time_between_two_microseconds_counts_as_the_earlier(
    repository: Repository, key: EntityKey
) -> None:
    outcome = await repository.update(update(put("f", 1), key=key))
    point = AtCommitTime(outcome.update_time + MICROSECOND - 1)
    assert await past_features(repository, key, point) == {"f": 1}


async def test_at_an_event_time_late_events_are_in_their_place(
    repository: Repository, key: EntityKey
) -> None:
    for content, event_time in ((1, 10), (3, 30), (2, 20), (4, 40)):
        await repository.update(update(put("f", content, event_time), key=key))
    await repository.update(update(put("g", 1, 25), key=key))
    expected = {9: None, 10: {"f": 1}, 19: {"f": 1}, 20: {"f": 2}, 24: {"f": 2}}
    expected |= {25: {"f": 2, "g": 1}, 30: {"f": 3, "g": 1}, LATEST: {"f": 4, "g": 1}}
    for event_time, found in expected.items():
        assert await past_features(repository, key, AtEventTime(event_time)) == found


async def test_at_an_event_time_the_aggregate_began_when_it_did(
    repository: Repository, key: EntityKey
) -> None:
    first = await repository.update(update(put("f", 1, 20), key=key))
    await repository.update(update(put("f", 0, 10), key=key))
    past = await repository.read_as_of(key, AtEventTime(LATEST))
    assert past is not None
    assert decode_timestamp(message_of(past).create_time) == first.update_time


async def test_at_an_event_time_a_removal_counts_from_its_own(
    repository: Repository, key: EntityKey
) -> None:
    await repository.update(update(put("f", 1, 10), put("g", 1, 10), key=key))
    await repository.update(update(remove("f", 20), key=key))
    removed = await repository.update(update(remove("g"), put("h", 1), key=key))
    at = removed.update_time
    expected = {19: {"f": 1, "g": 1}, 20: {"g": 1}, at - 1: {"g": 1}, at: {"h": 1}}
    for time, found in expected.items():
        assert await past_features(repository, key, AtEventTime(time)) == found, time


async def test_what_was_never_written_has_no_past(repository: Repository, key: EntityKey) -> None:
    for point in (AtVersion(1), AtCommitTime(LATEST), AtEventTime(LATEST)):
        assert await repository.read_as_of(key, point) is None


async def test_what_was_deleted_has_a_past(repository: Repository, key: EntityKey) -> None:
    await repository.update(update(put("f", 1, 10), key=key))
    second = await repository.update(update(put("f", 2, 20), key=key))
    deleted = await repository.delete(Deletion(key=key))
    for uid in (None, second.uid):
        expected: list[tuple[PointInTime, object]] = [
            (AtVersion(1, uid), {"f": 1}),
            (AtVersion(2, uid), {"f": 2}),
            (AtVersion(3, uid), None),
            (AtCommitTime(second.update_time - 1, uid), {"f": 1}),
            (AtCommitTime(deleted.delete_time - 1, uid), {"f": 2}),
            (AtCommitTime(deleted.delete_time, uid), None),
            (AtCommitTime(LATEST, uid), None),
            (AtEventTime(19, uid), {"f": 1}),
            (AtEventTime(deleted.delete_time - 1, uid), {"f": 2}),
            (AtEventTime(deleted.delete_time, uid), None),
        ]
        for point, found in expected:
            assert await past_features(repository, key, point) == found, point


async def test_each_incarnation_has_a_past_of_its_own(
    repository: Repository, key: EntityKey
) -> None:
    first = await repository.update(update(put("f", 1, 10), put("old", 1, 10), key=key))
    await repository.delete(Deletion(key=key))
    second = await repository.update(update(put("f", 2, 20), key=key))
    await repository.update(update(put("f", 3, 30), key=key))
    expected: list[tuple[PointInTime, object]] = [
        # Of the one that exists, unless another is named.
        (AtVersion(1), {"f": 2}),
        (AtVersion(1, first.uid), {"f": 1, "old": 1}),
        (AtVersion(1, second.uid), {"f": 2}),
        (AtVersion(2, first.uid), None),
        (AtCommitTime(first.update_time), {"f": 1, "old": 1}),
        (AtCommitTime(second.update_time), {"f": 2}),
        (AtCommitTime(first.update_time, second.uid), None),
        (AtCommitTime(second.update_time, first.uid), None),
        (AtEventTime(9), None),
        (AtEventTime(10), {"f": 1, "old": 1}),
        (AtEventTime(20), {"f": 2}),
        (AtEventTime(20, first.uid), {"f": 1, "old": 1}),
        (AtEventTime(10, second.uid), None),
    ]
    for point, found in expected:
        assert await past_features(repository, key, point) == found, point
    assert await repository.read_as_of(key, AtVersion(1, UUID(int=1))) is None


async def test_between_two_incarnations_there_is_nothing(
    repository: Repository, key: EntityKey
) -> None:
    lives: list[tuple[int, int]] = []
    for number in range(5):
        made = await repository.update(update(put("f", number), key=key))
        deleted = await repository.delete(Deletion(key=key))
        lives.append((made.update_time, deleted.delete_time))
    for number, (begin, end) in enumerate(lives):
        for point in (AtCommitTime, AtEventTime):
            assert await past_features(repository, key, point(begin)) == {"f": number}
            assert await past_features(repository, key, point(end - 1)) == {"f": number}
            assert await past_features(repository, key, point(end)) is None
    assert await past_features(repository, key, AtVersion(1)) == {"f": 4}


async def test_what_an_earlier_incarnation_had_does_not_come_back_after_its_deletion(
    repository: Repository, key: EntityKey
) -> None:
    """The deletion came before that time, and what came later began after it."""
    await repository.update(update(put("f", 1, 10), key=key))
    deleted = await repository.delete(Deletion(key=key))
    await repository.update(update(put("f", 2, LATEST), key=key))
    assert await past_features(repository, key, AtEventTime(deleted.delete_time)) is None
    assert await past_features(repository, key, AtEventTime(10)) == {"f": 1}


async def test_a_past_across_keyframes_is_read_of_what_was_deleted(
    repository: Repository, key: EntityKey
) -> None:
    for _ in range(KEYFRAME_INTERVAL + 3):
        made = await repository.update(update(add("f", 1), key=key))
    await repository.delete(Deletion(key=key))
    for version in (1, KEYFRAME_INTERVAL - 1, KEYFRAME_INTERVAL, KEYFRAME_INTERVAL + 3):
        past = await repository.read_as_of(key, AtVersion(version))
        assert past is not None
        assert (past.uid, past.version, features(past)) == (made.uid, version, {"f": version})
    assert await repository.read_as_of(key, AtVersion(KEYFRAME_INTERVAL + 4)) is None


@pytest.mark.parametrize("alive", [True, False], ids=["alive", "deleted before"])
async def test_what_was_erased_has_no_past(
    repository: Repository, key: EntityKey, alive: bool
) -> None:
    """What tells of the erasure is no version of anything."""
    uids: list[UUID | None] = [None]
    times = [LATEST]
    for _ in range(2):
        made = await repository.update(update(put("f", 1, 10), key=key))
        uids.append(made.uid)
        times += [made.update_time, (await repository.delete(Deletion(key=key))).delete_time]
    if alive:
        await repository.update(update(put("f", 1, 10), key=key))
    erased = await repository.delete(Deletion(key=key, erase_history=True))
    times.append(erased.delete_time)
    for uid in uids:
        for version in range(1, erased.version + 1):
            assert await repository.read_as_of(key, AtVersion(version, uid)) is None
        for time in times:
            assert await repository.read_as_of(key, AtCommitTime(time, uid)) is None
            assert await repository.read_as_of(key, AtEventTime(time, uid)) is None


async def test_the_newest_version_of_the_past_is_the_present(
    repository: Repository, key: EntityKey
) -> None:
    for _ in range(KEYFRAME_INTERVAL):
        await repository.update(update(add("f", 1), key=key))
    now = await current(repository, key)
    assert await repository.read_as_of(key, AtVersion(now.version)) == now
    assert features(now) == {"f": KEYFRAME_INTERVAL}


async def test_at_an_event_time_each_operation_counts_from_its_own(
    repository: Repository, key: EntityKey
) -> None:
    """In whatever order they came."""
    arrivals = [
        (add("sum", 10, 1_020), at_least("most", 10, 1_020), append("list", 1, 0, 1_020)),
        (add("sum", 5, 1_010), at_least("most", 5, 1_010), append("list", 2, 0, 1_010)),
        (add("sum", 2, 1_030), at_least("most", 7, 1_030), append("list", 3, 2, 1_030)),
        (put("sum", 100, 1_025), at_least("most", 3, 1_000), append("list", 4, 1, 1_000)),
    ]
    for items in arrivals:
        await repository.update(update(*items, key=key))
    expected: dict[int, object] = {
        999: None,
        1_000: {"most": 3, "list": (4,)},
        1_010: {"sum": 5, "most": 5, "list": (4, 2)},
        1_019: {"sum": 5, "most": 5, "list": (4, 2)},
        1_020: {"sum": 15, "most": 10, "list": (4, 2, 1)},
        1_025: {"sum": 100, "most": 10, "list": (4, 2, 1)},
        1_030: {"sum": 102, "most": 10, "list": (1, 3)},
    }
    for time, found in expected.items():
        assert await past_features(repository, key, AtEventTime(time)) == found, time
    past = await repository.read_as_of(key, AtEventTime(LATEST))
    assert past is not None
    assert not past.inexact_features
    now = features(await current(repository, key))
    assert now is not None
    # In the present they count as they came: the set came too late.
    assert now["sum"] == 17
