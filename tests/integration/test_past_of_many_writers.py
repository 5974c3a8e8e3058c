"""Whatever many writers did, the past is what a plain model folds from the recorded history."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import pytest

from codec.timestamps import decode_timestamp
from domain.entity_key import EntityKey
from domain.errors import AggregateNotFound
from domain.ports import (
    AtCommitTime,
    AtEventTime,
    AtVersion,
    HistoryQuery,
    PointInTime,
    StoredAggregate,
)
from domain.timestamp import MICROSECOND, Timestamp
from domain.update import Deletion, FeatureUpdate
from featom.v1.aggregate_pb2 import AggregateChange, Feature, Operand
from featom.v1.value_pb2 import FeatureValue
from repository.postgres import PostgresRepository
from tests.kit.fault_injection import repository_on, session_on
from tests.kit.reading import message_of
from tests.kit.samples import add, append, at_least, put, remove, update

KEYS: Final = [EntityKey("card", "1"), EntityKey("card", "2")]
NAMES: Final = ["a", "b", "c", "sum", "most", "list"]
CLIENTS: Final = 8
COMMANDS: Final = 60
MOMENTS: Final = 150
LARGE: Final = 10_000_000

Features = dict[str, Feature]


class Incarnation(NamedTuple):
    """The changes of one, in the order of their commits."""

    uid: str
    changes: Sequence[AggregateChange]

    @property
    def end(self) -> Timestamp | None:
        """When it was deleted."""
        last = self.changes[-1]
        return commit_time(last) if last.deleted else None


class Found(NamedTuple):
    uid: str
    features: Features


class Client:
    """Changes entities at random, half of it late."""

    def __init__(self, repository: PostgresRepository, seed: str) -> None:
        self._repository = repository
        self._random = random.Random(seed)

    async def run(self, started: Timestamp) -> None:
        for _ in range(COMMANDS):
            key = self._random.choice(KEYS)
            try:
                if self._random.random() < 0.06:
                    await self._repository.delete(Deletion(key=key))
                else:
                    items = self._items(started)
                    await self._repository.update(update(*items, key=key, actor="somebody"))
            except AggregateNotFound:
                pass

    def _items(self, started: Timestamp) -> list[FeatureUpdate]:
        names = self._random.sample(
            ["a", "b", "c", "sum", "most", "list"], self._random.randint(1, 3)
        )
        return [self._item(name, started) for name in names]

    def _item(self, name: str, started: Timestamp) -> FeatureUpdate:
        number = self._random.randint(0, 99)
        around = started + self._random.randint(-500_000, 500_000) * MICROSECOND
        time = self._random.choice([None, around, started - number])
        match name:
            case "sum":
                return add(name, number, time)
            case "most":
                return at_least(name, number, time)
            case "list":
                return append(name, f"{number}", 5, time)
            case _:
                return remove(name, time) if number < 15 else put(name, number, time)


def commit_time(change: AggregateChange) -> Timestamp:
    return decode_timestamp(change.commit_time)


def advances(change: AggregateChange) -> bool:
    return bool(change.features or change.removed or change.deleted)


def incarnations_of(history: Sequence[AggregateChange]) -> list[Incarnation]:
    by_uid: dict[str, list[AggregateChange]] = {}
    for change in history:
        by_uid.setdefault(change.uid, []).append(change)
    return [Incarnation(uid, changes) for uid, changes in by_uid.items()]


def folded(changes: Sequence[AggregateChange]) -> Features | None:
    """What they leave; None: nothing, it was deleted or never there."""
    features: Features | None = None
    for change in changes:
        if change.deleted:
            return None
        features = {} if features is None else features
        for name in change.removed:
            del features[name]
        features.update(change.features)
    return features


def at_version(incarnation: Incarnation, version: int) -> Features | None:
    return folded([each for each in incarnation.changes if each.version <= version])


def at_commit_time(incarnations: Sequence[Incarnation], time: Timestamp) -> Found | None:
    for incarnation in reversed(incarnations):
        past = [each for each in incarnation.changes if commit_time(each) <= time]
        if past:
            features = folded(past)
            return None if features is None else Found(incarnation.uid, features)
    return None


def at_event_time(incarnations: Sequence[Incarnation], time: Timestamp) -> Found | None:
    for incarnation in reversed(incarnations):
        if incarnation.end is not None and incarnation.end <= time:
            return None
        features = events_up_to(incarnation, time)
        if features:
            return Found(incarnation.uid, features)
    return None


def events_up_to(incarnation: Incarnation, time: Timestamp) -> Features:
    """All operations one after the other: by event time, and of one time by commit."""
    events = [event for change in incarnation.changes for event in events_of(change)]
    features: Features = {}
    for event_time, name, operation, result in sorted(events, key=lambda event: event[0]):
        if event_time > time:
            break
        before = features.get(name)
        match operation.WhichOneof("operation"):
            case None if result.HasField("value"):
                features[name] = result
                continue
            case None | "remove":
                features.pop(name, None)
                continue
            case "increment":
                value = FeatureValue(int64_value=operation.increment.int64_value)
                value.int64_value += before.value.int64_value if before else 0
            case "maximum":
                value = FeatureValue(int64_value=operation.maximum.int64_value)
                if before:
                    value.int64_value = max(value.int64_value, before.value.int64_value)
            case _:
                last = (
                    result.value
                    if operation.append.value.WhichOneof("kind") is None
                    else (operation.append.value)
                )
                texts = [*(before.value.string_list.values if before else ()), last.string_value]
                value = FeatureValue()
                value.string_list.values[:] = texts[-operation.append.max_length :]
        version = max(result.version, before.version if before else 0)
        features[name] = Feature(value=value, version=version)
        features[name].event_time.FromNanoseconds(event_time)
    return features


def events_of(change: AggregateChange) -> Iterator[tuple[Timestamp, str, Operand, Feature]]:
    """Of each operation its event time, its feature, what the change tells of it, and the result,
    which for one without effect has nothing but the version."""
    assert change.has_operands
    results = {**change.features, **change.late_features}
    for name in {*results, *change.removed, *change.operands}:
        operand = dict(change.operands).get(name, Operand())
        result = results.get(name, Feature(version=change.version))
        times = [each.event_time for each in (operand, result)]
        times = [each for each in times if each.ByteSize()]
        if operand.WhichOneof("operation") not in (None, "remove"):
            result = Feature(value=result.value, version=change.version)
        yield decode_timestamp((*times, change.commit_time)[0]), name, operand, result


def found(stored: StoredAggregate | None) -> Found | None:
    if stored is None:
        return None
    message = message_of(stored)
    assert message.uid == str(stored.uid)
    return Found(message.uid, dict(message.features))


async def recorded(database: str, key: EntityKey) -> list[AggregateChange]:
    """In the order of their commits. Late values may have a later commit time than the version
    after theirs, if another server was about to make that when they came; and an incarnation may
    begin before another one ends, if its maker read before that did."""
    async with session_on(database) as session:
        rows = await session.fetch(
            "SELECT c.change FROM changes AS c"
            " LEFT JOIN aggregates AS a USING (entity_type, entity_id)"
            " WHERE c.entity_type = $1 AND c.entity_id = $2"
            " ORDER BY a.uid IS NOT DISTINCT FROM c.uid,"
            " max(c.commit_time) OVER (PARTITION BY c.uid), c.version, c.commit_time",
            *key,
        )
    return [AggregateChange.FromString(row["change"]) for row in rows]


async def list_while(
    repository: PostgresRepository, key: EntityKey, stopped: asyncio.Event, size: int
) -> list[AggregateChange]:
    """Go through all changes, from the oldest on, as they come."""
    query = HistoryQuery(key, size, LARGE, newest_first=False)
    listed: list[AggregateChange] = []
    while True:
        last = stopped.is_set()
        page = await repository.list_changes(query)
        listed += [AggregateChange.FromString(change) for change in page.changes]
        if page.end is not None:
            query = query._replace(after=page.end)
        elif last:
            return listed
        else:
            # What this page had is read again: only a page that is full has an end.
            del listed[len(listed) - len(page.changes) :]
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("seed", range(3))
async def test_the_past_of_many_writers_is_what_the_history_says(database: str, seed: int) -> None:
    async with repository_on(database) as one, repository_on(database) as other:
        started = await one.entity_types.now()
        stopped = asyncio.Event()
        clients = [
            Client((one, other)[number % 2], f"{seed} {number}") for number in range(CLIENTS)
        ]
        readers = [asyncio.create_task(list_while(other, key, stopped, 7)) for key in KEYS]
        await asyncio.gather(*(client.run(started) for client in clients))
        ended = await one.entity_types.now()
        stopped.set()
        listed = await asyncio.gather(*readers)
        for key, meanwhile in zip(KEYS, listed, strict=True):
            history = await recorded(database, key)
            incarnations = incarnations_of(history)
            assert len(incarnations) > 2
            assert sum(not advances(each) for each in history) > 20
            assert [each for each in meanwhile if advances(each)] == [
                each for each in history if advances(each)
            ]
            draw = random.Random(seed)
            times = [draw.randint(started, ended) for _ in range(MOMENTS)]
            times += [commit_time(each) - draw.randint(0, 1) for each in history[::3]]
            await check_versions(one, key, incarnations)
            await check_times(other, key, incarnations, times)
            await check_lists(one, key, history, draw)


async def check_versions(
    repository: PostgresRepository, key: EntityKey, incarnations: Sequence[Incarnation]
) -> None:
    for incarnation in incarnations:
        uid = UUID(incarnation.uid)
        for version in range(incarnation.changes[-1].version + 2):
            expected = at_version(incarnation, version)
            if version > incarnation.changes[-1].version:
                expected = None
            past = found(await repository.read_as_of(key, AtVersion(version, uid)))
            assert (past and past.features) == expected, (uid, version)
            if incarnation is incarnations[-1]:
                assert found(await repository.read_as_of(key, AtVersion(version))) == past


async def check_times(
    repository: PostgresRepository,
    key: EntityKey,
    incarnations: Sequence[Incarnation],
    times: Sequence[Timestamp],
) -> None:
    points: list[tuple[PointInTime, Any]] = [
        (AtCommitTime(time), at_commit_time(incarnations, time)) for time in times
    ]
    points += [(AtEventTime(time), at_event_time(incarnations, time)) for time in times]
    for point, expected in points:
        assert found(await repository.read_as_of(key, point)) == expected, point


async def check_lists(
    repository: PostgresRepository,
    key: EntityKey,
    history: Sequence[AggregateChange],
    draw: random.Random,
) -> None:
    for newest_first in (True, False):
        query = HistoryQuery(key, draw.randint(1, 40), LARGE, newest_first=newest_first)
        listed: list[AggregateChange] = []
        while True:
            page = await repository.list_changes(query)
            listed += [AggregateChange.FromString(change) for change in page.changes]
            if page.end is None:
                break
            query = query._replace(after=page.end, limit=draw.randint(1, 40))
        assert listed == list(reversed(history) if newest_first else history)
