"""Work that goes on when its caller goes away."""

import asyncio
import gc

import pytest

from runtime.supervision import detached


async def test_work_goes_on_when_its_caller_goes_away() -> None:
    begun, go_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await go_on.wait()
        ended.set()

    caller = asyncio.create_task(detached(work()))
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    gc.collect()
    go_on.set()
    await asyncio.wait_for(ended.wait(), 5)


async def test_the_caller_gets_the_result() -> None:
    async def work() -> int:
        return 7

    assert await detached(work()) == 7


async def test_the_caller_gets_the_error() -> None:
    async def work() -> None:
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        await detached(work())
