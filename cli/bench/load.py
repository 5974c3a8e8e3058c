"""The load: callers that each have one call under way, updates and reads of random entities."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from featom_client import AggregateNotFound, AsyncClient, FeatomError, inc

from cli.bench.tally import Tally

_AFTER_A_REFUSAL: Final = 0.1
"""Seconds that a caller rests, so that a server that refuses is not asked in a tight loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is asked for."""

    entity_type: str
    prefix: str
    """Of the ids of the entities, which are nobody else's."""
    entities: int
    callers: int
    seconds: float
    features: int
    """That an update changes, and a read returns."""
    reads: float
    """Their share of the calls."""

    def entity_id(self, number: int) -> str:
        return f"{self.prefix}{number}"


@dataclass(slots=True)
class Measured:
    """What it took."""

    updates: Tally = field(default_factory=Tally)
    reads: Tally = field(default_factory=Tally)
    seconds: float = 0.0
    written: set[int] = field(default_factory=set)
    """The entities that may have been written."""


async def put_load(
    client: AsyncClient, load: Load, measured: Measured, stop: asyncio.Event
) -> None:
    """Ask for as long as the load lasts, or until `stop`; `measured` is kept up to date."""
    began = time.monotonic()
    ends = began + load.seconds
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(load.callers):
                group.create_task(_call_again_and_again(client, load, measured, stop, ends))
    finally:
        measured.seconds = time.monotonic() - began


async def _call_again_and_again(
    client: AsyncClient, load: Load, measured: Measured, stop: asyncio.Event, ends: float
) -> None:
    choice = random.Random()  # noqa: S311 - no secret
    names = [f"f{number}" for number in range(load.features)]
    changes = dict.fromkeys(names, inc(1))
    while time.monotonic() < ends and not stop.is_set():
        number = choice.randrange(load.entities)
        entity_id = load.entity_id(number)
        reads = choice.random() < load.reads
        tally = measured.reads if reads else measured.updates
        began = time.monotonic()
        try:
            if reads:
                await client.get(load.entity_type, entity_id, names)
            else:
                measured.written.add(number)
                await client.update(load.entity_type, entity_id, changes)
        except AggregateNotFound:
            pass  # nobody has written it yet: an answer like others
        except FeatomError as error:
            tally.refusals[error.reason or type(error).__name__] += 1
            await asyncio.sleep(_AFTER_A_REFUSAL)
            continue
        tally.answered(time.monotonic() - began)


async def clean_up(
    client: AsyncClient, load: Load, measured: Measured, tell: Callable[[int], None]
) -> None:
    """Delete what was written, with its history. `tell` hears how many are gone. Raises
    FeatomError."""
    left = iter(sorted(measured.written))
    failures: list[FeatomError] = []
    gone = 0

    async def delete_one_after_the_other() -> None:
        nonlocal gone
        for number in left:
            try:
                await client.delete(load.entity_type, load.entity_id(number), erase_history=True)
            except AggregateNotFound:
                pass  # its update was refused
            except FeatomError as error:
                failures.append(error)
            if failures:
                return
            gone += 1
            tell(gone)

    async with asyncio.TaskGroup() as group:
        for _ in range(load.callers):
            group.create_task(delete_one_after_the_other())
    if failures:
        raise failures[0]
