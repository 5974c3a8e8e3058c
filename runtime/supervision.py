"""Tasks that outlive who began them: those that last as long as the server, and work that goes on
when its caller goes away.

None of the former ends without a word, or for good. What ends by an error that nobody expected is
logged with its traceback, counted by name and begun again after a pause. Work that is supervised
must leave nothing half done that others wait for.
"""

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, Final, TypeVar

from telemetry.metrics import Metric, MetricKind, Sample

Result = TypeVar("Result")

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 10.0
_WELL: Final = 60.0
"""Seconds after which what has failed before counts as mended."""
_CALLBACK: Final = "callback"
_THREAD: Final = "thread"
# The event loop itself keeps only weak references to tasks.
_RUNNING: Final[set[asyncio.Task[Any]]] = set()

log = logging.getLogger(__name__)


class Failures:
    """How often what has failed; a process has one event loop, so one of these."""

    def __init__(self) -> None:
        self.by_task: Counter[str] = Counter({_CALLBACK: 0, _THREAD: 0})

    def metrics(self) -> Iterator[Metric]:
        """See telemetry.metrics.MetricSource."""
        yield Metric(
            "featom_task_failures_total",
            "How often a task of the server's own failed by a fault of ours, and was begun again.",
            MetricKind.COUNTER,
            [Sample({"task": name}, count) for name, count in sorted(self.by_task.items())],
        )


FAILURES: Final = Failures()


def supervised(name: str, work: Callable[[], Awaitable[None]]) -> "asyncio.Task[None]":
    """Run `work` in a task until it returns or the task is cancelled; again whenever it fails."""
    FAILURES.by_task[name] += 0
    return asyncio.create_task(_keep_running(name, work), name=name)


def watch_the_rest(loop: asyncio.AbstractEventLoop) -> None:
    """Log and count what fails in callbacks, in tasks that nobody waits for, and in threads too."""
    loop.set_exception_handler(_note_callback)
    threading.excepthook = _note_thread


async def _keep_running(name: str, work: Callable[[], Awaitable[None]]) -> None:
    clock = asyncio.get_running_loop().time
    pause = _FIRST_PAUSE
    while True:
        begun = clock()
        try:
            return await work()
        except Exception:
            FAILURES.by_task[name] += 1
            if clock() - begun > _WELL:
                pause = _FIRST_PAUSE
            log.exception("%s failed, and is begun again in %.1f s", name, pause)
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _note_callback(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    FAILURES.by_task[_CALLBACK] += 1
    loop.default_exception_handler(context)


def _note_thread(failed: threading.ExceptHookArgs) -> None:
    FAILURES.by_task[_THREAD] += 1
    name = failed.thread.name if failed.thread else "?"
    log.error("the thread %s failed", name, exc_info=failed.exc_value)


async def detached(work: Coroutine[Any, Any, Result]) -> Result:
    """Run `work` in a task of its own and wait for it.

    grpc.aio cancels a handler when its client cancels or its deadline passes; a query must not be
    cancelled with it, since the driver would then open another connection to say so.
    """
    task = asyncio.create_task(work)
    _RUNNING.add(task)
    task.add_done_callback(_forget)
    return await asyncio.shield(task)


def _forget(task: "asyncio.Task[Any]") -> None:
    _RUNNING.discard(task)
    if not task.cancelled():
        task.exception()  # seen here, if the caller did not stay to see it
