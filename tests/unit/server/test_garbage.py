"""What nobody needs any more does not stay, however old it has become."""

import asyncio
import gc
import weakref

import pytest

from server import garbage


class Node:
    """Refers to itself."""

    def __init__(self) -> None:
        self.me = self


async def test_cycles_that_have_become_old_are_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "FULL_LOOK", 0.01)
    node = Node()
    gc.collect()  # now it is among the oldest
    gone = weakref.ref(node)
    gc.disable()
    try:
        del node
        assert gone() is not None
        keeping = asyncio.create_task(garbage.keep_small())
        await asyncio.sleep(0.05)
        keeping.cancel()
        assert gone() is None
    finally:
        gc.enable()
