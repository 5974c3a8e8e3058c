"""Work that goes on when its caller goes away.

grpc.aio cancels a handler when its client cancels or its deadline passes; a query must not be
cancelled with it, since the driver would then open another connection to say so.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

Result = TypeVar("Result")

# The event loop itself keeps only weak references to tasks.
_RUNNING: Final[set[asyncio.Task[Any]]] = set()


async def detached(work: Coroutine[Any, Any, Result]) -> Result:
    """Run `work` in a task of its own and wait for it."""
    task = asyncio.create_task(work)
    _RUNNING.add(task)
    task.add_done_callback(_forget)
    return await asyncio.shield(task)


def _forget(task: "asyncio.Task[Any]") -> None:
    _RUNNING.discard(task)
    if not task.cancelled():
        task.exception()  # seen here, if the caller did not stay to see it
