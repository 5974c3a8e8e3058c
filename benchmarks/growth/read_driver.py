"""`python -m benchmarks.growth.read_driver DSN`: batch reads, without gRPC."""

import random
import sys
from collections.abc import Awaitable, Callable

import uvloop

from benchmarks import dataset
from benchmarks.growth.point import BATCH
from benchmarks.writes.driver import obey
from benchmarks.writes.orders import Order
from domain.entity_key import EntityKey
from repository.postgres import PostgresRepository


class Reads:
    """Reads of 100 aggregates through a PostgresRepository."""

    def __init__(self, repository: PostgresRepository) -> None:
        self._repository = repository

    def caller(self, order: Order) -> Callable[[], Awaitable[object]]:
        async def call() -> None:
            indexes = random.sample(range(order.entities), BATCH)
            keys = [EntityKey(dataset.ENTITY_TYPE, f"c{index:07}") for index in indexes]
            found = await self._repository.read(keys)
            if None in found:
                raise LookupError

        return call

    def contention(self) -> tuple[int, int]:
        return 0, 0


async def main(dsn: str) -> None:
    repository = PostgresRepository(dsn)
    await repository.open()
    try:
        await obey(Reads(repository))
    finally:
        await repository.close()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
