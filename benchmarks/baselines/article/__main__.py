"""`python -m benchmarks.baselines.article BUILD DSN CONNECTIONS`: one of the builds, driven."""

import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

import uvloop

from benchmarks.baselines.article import handwritten, mapped
from benchmarks.baselines.article.callers import Attempt, Callers
from benchmarks.writes.driver import obey

BUILDS: Final[dict[str, Callable[[str, int], AbstractAsyncContextManager[Attempt]]]] = {
    "handwritten": handwritten.connected,
    "mapped": mapped.connected,
}


async def main(build: str, dsn: str, connections: int) -> None:
    async with BUILDS[build](dsn, connections) as attempt:
        await obey(Callers(attempt))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
