"""`python -m benchmarks.writes.pipeline_driver DSN`: the commit pipeline, without gRPC."""

import random
import sys
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import uuid4

import uvloop
from msgspec.structs import replace

from benchmarks.writes import changes
from benchmarks.writes.driver import obey
from benchmarks.writes.orders import Order
from repository.postgres import PostgresRepository
from server.process import resources

DIFFERENT: Final = 1_000


class Pipeline:
    """Updates through a PostgresRepository."""

    def __init__(self, repository: PostgresRepository) -> None:
        self._repository = repository
        self._updates = [changes.feature_updates() for _ in range(DIFFERENT)]

    def caller(self, order: Order) -> Callable[[], Awaitable[object]]:
        async def call() -> None:
            update = changes.update(random.randrange(order.entities), random.choice(self._updates))
            if order.request_ids:
                update = replace(update, request_id=uuid4(), fingerprint=b"0" * 32)
            await self._repository.update(update)

        return call

    def contention(self) -> tuple[int, int]:
        statistics = self._repository.statistics
        return statistics.commands, statistics.undecided


async def main(dsn: str) -> None:
    repository = PostgresRepository(dsn)
    await repository.open()
    resources.settle()
    try:
        await obey(Pipeline(repository))
    finally:
        await repository.close()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
