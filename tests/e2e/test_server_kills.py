"""A server that is killed under load has lost nothing that it acknowledged, and left no half."""

import asyncio
import itertools
import signal
from contextlib import suppress
from dataclasses import dataclass

import grpc

from featom.v1.feature_store_pb2 import BatchGetAggregatesRequest
from server.embedded_postgres import EmbeddedPostgres
from tests.kit.postgres import folder_for_postgres
from tests.kit.server_process import running_server
from tests.kit.stubs import connected
from tests.kit.vectors import keys_of, numbers_in, set_all
from tests.kit.waiting import eventually

KILLS = 20
CHAINS = 2
"""Servers that are killed side by side, each with a data folder of its own."""
CLIENTS = 8
UNDER_LOAD = 10 * CLIENTS
"""Updates that are acknowledged before a kill, at least."""


@dataclass
class Writer:
    """Writes 1, 2, 3, … into all features of an entity of its own."""

    entity: str
    sent: int = 0
    acknowledged: int = 0

    async def write(self, address: str) -> None:
        """Until the server is gone."""
        async with connected(address) as store:
            with suppress(grpc.aio.AioRpcError):
                for number in itertools.count(self.sent + 1):
                    self.sent = number
                    await store.UpdateFeatures(set_all(self.entity, number))
                    self.acknowledged = number


async def test_of_20_kills_under_load_none_loses_or_halves_an_update_or_needs_a_hand() -> None:
    await asyncio.gather(*(kill_again_and_again(KILLS // CHAINS) for _ in range(CHAINS)))


async def kill_again_and_again(kills: int) -> None:
    writers = [Writer(f"entity-{number}") for number in range(CLIENTS)]
    with folder_for_postgres() as folder:
        for kill in range(kills + 1):
            async with running_server(data_dir=folder) as server:
                await look(server.address, writers)
                if kill == kills:
                    break
                goal = acknowledged(writers) + UNDER_LOAD
                load = [asyncio.create_task(w.write(server.address)) for w in writers]
                await until_acknowledged(writers, goal)
                server.signal(signal.SIGKILL)
                await asyncio.gather(*load)
            if kill % 3 == 2:
                # As when the machine itself goes down: the next server finds a crashed PostgreSQL.
                EmbeddedPostgres(folder / "postgres").kill()


async def until_acknowledged(writers: list[Writer], goal: int) -> None:
    await eventually(lambda: acknowledged(writers) >= goal)


def acknowledged(writers: list[Writer]) -> int:
    return sum(writer.acknowledged for writer in writers)


async def look(address: str, writers: list[Writer]) -> None:
    """Everything acknowledged is there, nothing is there by half."""
    async with connected(address) as store:
        request = BatchGetAggregatesRequest(keys=keys_of(writer.entity for writer in writers))
        results = (await store.BatchGetAggregates(request)).results
    for writer, result in zip(writers, results, strict=True):
        if not result.HasField("aggregate"):
            assert writer.acknowledged == 0
            continue
        (number,) = numbers_in(result.aggregate)
        assert writer.acknowledged <= number <= writer.sent
        # What is there now is what the next number follows.
        writer.sent = writer.acknowledged = number
