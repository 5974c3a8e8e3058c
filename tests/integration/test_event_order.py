"""However a log of operations is shuffled, as of each event time it is as if it came in order."""

import asyncio
import random
from typing import Any, Final

import pytest

from domain.entity_key import EntityKey
from domain.ports import AtEventTime
from domain.update import FeatureUpdate
from repository.postgres import PostgresRepository
from tests.kit.fault_injection import repository_on
from tests.kit.reading import features
from tests.kit.samples import add, append, at_least, at_most, put, remove, update

LENGTH: Final = 60
SHUFFLES: Final = 12


def log_of(draw: random.Random) -> list[FeatureUpdate]:
    """One operation a feature and moment, so that it does not matter which of them comes first."""
    log = []
    for time in range(1, LENGTH):
        number = draw.randint(1, 1_000_000)
        sums = put("sum", number, time) if draw.random() < 0.1 else add("sum", number, time)
        bound = draw.choice([at_least, at_most, at_most, at_least, put])
        shorter = append("list", f"{number}", draw.choice([0, 0, 3, 5]), time)
        log += [
            sums,
            add("count", 1, time),
            at_least("most", number, time),
            bound("bounded", number, time),
            append("all", number, 0, time),
            shorter,
            put("last", number, time),
        ]
    return log


def in_order(log: list[FeatureUpdate], time: int) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    for item in log:
        if item.event_time is None or item.event_time > time:
            continue
        operation: Any = item.operation
        content = operation.value.content
        before = found.get(item.name)
        match operation.field:
            case "increment":
                content += before or 0
            case "maximum" if before is not None:
                content = max(before, content)
            case "minimum" if before is not None:
                content = min(before, content)
            case "append":
                content = (*(before or ()), content)[-operation.max_length :]
        found[item.name] = content
    return found or None


async def send(
    repositories: list[PostgresRepository], key: EntityKey, log: list[FeatureUpdate], seed: str
) -> None:
    """Some of it in one update, all at once from both servers."""
    draw = random.Random(seed)
    shuffled = draw.sample(log, len(log))
    requests = []
    while shuffled:
        items = {item.name: item for item in shuffled[: draw.randint(1, 4)]}
        shuffled = [item for item in shuffled if item not in items.values()]
        requests.append(update(*items.values(), key=key))
    await asyncio.gather(*(draw.choice(repositories).update(each) for each in requests))


@pytest.mark.parametrize("seed", range(2))
async def test_a_shuffled_log_of_two_servers_is_read_as_if_it_had_come_in_order(
    database: str, seed: int
) -> None:
    log = log_of(random.Random(f"log {seed}"))
    keys = [EntityKey("card", f"{seed}-{number}") for number in range(SHUFFLES)]
    async with repository_on(database) as one, repository_on(database) as other:
        await asyncio.gather(
            *(send([one, other], key, log, f"{seed} {key.entity_id}") for key in keys)
        )
        for time in range(LENGTH + 1):
            expected = in_order(log, time)
            for key in keys:
                past = await one.read_as_of(key, AtEventTime(time))
                assert features(past) == expected, (key, time)
                assert past is None or not past.inexact_features


async def test_a_removal_is_in_the_order_of_events_as_well(database: str) -> None:
    key = EntityKey("card", "removed")
    async with repository_on(database) as one, repository_on(database) as other:
        await one.update(update(add("n", 5, 10), put("other", 1, 10), key=key))
        await other.update(update(remove("n", 30), key=key))
        await one.update(update(add("n", 2, 20), key=key))
        await other.update(update(add("n", 1, 40), key=key))
        found = {
            time: features(await one.read_as_of(key, AtEventTime(time)))
            for time in (10, 20, 30, 40)
        }
    assert found == {
        10: {"n": 5, "other": 1},
        20: {"n": 7, "other": 1},
        30: {"other": 1},
        40: {"n": 1, "other": 1},
    }
