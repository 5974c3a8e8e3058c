"""One run: writers at two servers, definitions that change under them, then the verdict."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Final

import asyncpg

from featom.v1.entity_type_service_pb2_grpc import EntityTypeServiceStub
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from tests.consistency.rules import verdicts
from tests.consistency.rules.changing import Changed, Changer
from tests.consistency.rules.past import read_as_of
from tests.consistency.rules.stored import stored_are_judged_right
from tests.consistency.rules.writing import Told, Writer
from tests.kit.program import FEATOM
from tests.kit.server_process import running_servers
from tests.kit.stubs import open_channel

if TYPE_CHECKING:
    from featom.v1.entity_type_service_pb2_grpc import EntityTypeServiceAsyncStub

CLIENTS: Final = 8
_SHOWN: Final = 3


@dataclass
class Outcome:
    """What was done, and what is to be objected to."""

    done: Counter[str] = field(default_factory=Counter)
    mistakes: dict[str, list[str]] = field(default_factory=dict)
    """By the promise that was broken."""

    def __str__(self) -> str:
        lines = [", ".join(f"{count:,} {name}" for name, count in self.done.most_common())]
        for promise, found in self.mistakes.items():
            lines.append(f"BROKEN {len(found)} times: {promise}")
            lines += [f"  {mistake[:2_000]}" for mistake in found[:_SHOWN]]
        return "\n".join(lines)


async def run(
    dsn: str, *, seed: int, changes: int, pause: float, command: Sequence[str] = FEATOM
) -> Outcome:
    """Change definitions so many times, with about so many seconds in between.

    The database has the schema, and no rows.
    """
    chance = Random(seed)
    told = Told()
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(running_servers(2, dsn, command))
        channels = [
            await stack.enter_async_context(open_channel(server.address)) for server in servers
        ]
        stores = [FeatureStoreServiceStub(channel) for channel in channels]
        services: list[EntityTypeServiceAsyncStub] = [
            EntityTypeServiceStub(channel) for channel in channels
        ]
        connection = await asyncpg.connect(dsn)
        stack.push_async_callback(connection.close)
        changer = Changer(chance, services, connection)
        stopping = asyncio.Event()
        crowd = [
            asyncio.create_task(
                Writer(number, Random(f"{seed}/{number}"), stores, told).run(stopping)
            )
            for number in range(CLIENTS)
        ]
        try:
            await changer.run(changes, pause)
        finally:
            stopping.set()
            await asyncio.gather(*crowd)
        past = await read_as_of(dsn)
        stored = [each async for each in stored_are_judged_right(chance, services, past)]
    found = {"stored_are_judged_right": stored}
    found |= {name: list(each) for name, each in _verdicts(past, changer.changed, told)}
    mistakes = {name: each for name, each in found.items() if each}
    return Outcome(_done(told, changer.changed), mistakes)


def _verdicts(
    past: verdicts.HistoricalState, changed: Changed, told: Told
) -> Iterator[tuple[str, Iterable[str]]]:
    for check in (
        verdicts.no_version_breaks_its_revision,
        verdicts.no_version_comes_after_its_revision,
    ):
        yield check.__name__, check(past, changed)
    for judged in (
        verdicts.every_version_is_what_was_asked_for,
        verdicts.every_refusal_names_every_violation,
    ):
        yield judged.__name__, judged(past, changed, told.attempts)
    there = verdicts.what_was_acknowledged_is_there_once_and_what_was_refused_is_not
    yield there.__name__, there(past, told.attempts)


def _done(told: Told, changed: Changed) -> Counter[str]:
    done = Counter(
        each.refusal.reason if each.refusal else "acknowledged" for each in told.attempts
    )
    done["revisions"] = sum(len(each) - 1 for each in changed.revisions.values())
    done["changes refused"] = changed.refused
    return done
