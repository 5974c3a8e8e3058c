"""A server that is killed under load has lost nothing that it acknowledged, and left no half."""

import asyncio
import itertools
import signal
from contextlib import suppress
from dataclasses import dataclass

import grpc

from featom.v1.feature_store_pb2 import BatchGetAggregatesRequest
from server.embedded_postgres import EmbeddedPostgres
from tests.consistency.server_process import running_server
from tests.consistency.stubs import connected
from tests.consistency.vectors import keys_of, numbers_in, set_all
from tests.postgres import folder_for_postgres

KILLS = 20
CHAINS = 2
"""Servers that are killed side by side, each with a data folder of its own."""
CLIENTS = 8
LOAD_SECONDS = 0.3


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
    chains = await asyncio.gather(*(kill_again_and_again(KILLS // CHAINS) for _ in range(CHAINS)))
    assert min(min(chain) for chain in chains) > 0, "a server was killed before it was under load"


async def kill_again_and_again(kills: int) -> list[int]:
    """Returns how many updates were acknowledged between one kill and the next."""
    writers = [Writer(f"entity-{number}") for number in range(CLIENTS)]
    progress = []
    with folder_for_postgres() as folder:
        for kill in range(kills + 1):
            async with running_server(data_dir=folder) as server:
                await look(server.address, writers)
                if kill == kills:
                    break
                before = sum(writer.acknowledged for writer in writers)
                load = [asyncio.create_task(w.write(server.address)) for w in writers]
                await asyncio.sleep(LOAD_SECONDS)
                server.signal(signal.SIGKILL)
                await asyncio.gather(*load)
                progress.append(sum(writer.acknowledged for writer in writers) - before)
            if kill % 3 == 2:
                # As when the machine itself goes down: the next server finds a crashed PostgreSQL.
                EmbeddedPostgres(folder / "postgres").kill()
    return progress


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
