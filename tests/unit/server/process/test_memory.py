"""When freed memory is given back to the system."""

import asyncio
import platform
import subprocess
import sys

import pytest

from server.process import resources as freed_memory
from server.process.resources import LONGEST_TRIM_INTERVAL, TRIM_INTERVAL, WORTH_TRIMMING, give_back

MIB = 2**20


class Machine:
    """A clock that runs as fast as one sleeps, and a heap of which some can be given back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.used = 100 * MIB
        self.free = 0
        self.trims: list[float] = []
        monkeypatch.setattr(freed_memory, "_trim", lambda: self._give)
        monkeypatch.setattr(freed_memory, "resident_bytes", lambda: self.used + self.free)
        monkeypatch.setattr("server.process.resources.asyncio.sleep", self._sleep)

    def _give(self, pad: int) -> int:
        self.trims.append(self.now)
        self.free = 0
        return 1

    async def _sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now == 3_000:
            self.free = WORTH_TRIMMING
        if self.now > 6_000:
            raise asyncio.CancelledError


@pytest.fixture
async def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine(monkeypatch)
    with pytest.raises(asyncio.CancelledError):
        await give_back()
    return machine


async def test_where_there_is_nothing_to_give_back_it_is_looked_for_ever_less_often(
    machine: Machine,
) -> None:
    pauses = [b - a for a, b in zip(machine.trims, machine.trims[1:], strict=False)]
    assert pauses[:5] == [
        2 * TRIM_INTERVAL,
        4 * TRIM_INTERVAL,
        8 * TRIM_INTERVAL,
        16 * TRIM_INTERVAL,
        LONGEST_TRIM_INTERVAL,
    ]


async def test_what_has_come_is_looked_at_soon(machine: Machine) -> None:
    assert 3_000 in machine.trims
    assert machine.free == 0


async def test_after_something_was_given_back_it_is_looked_again_soon(machine: Machine) -> None:
    assert 3_000 + TRIM_INTERVAL in machine.trims


def test_the_memory_of_this_process_is_known() -> None:
    assert 10 * MIB < freed_memory.resident_bytes() < 10_000 * MIB


_LARGE_BLOCKS = f"""
from server.process.resources import keep_no_large_blocks, resident_bytes

if {{keeps_none}}:
    keep_no_large_blocks()
del (first := [b"x" * {20 * MIB}])[0]  # glibc learns the size
large = b"x" * {16 * MIB}
above = [b"y" * 1_000 for _ in range(10_000)]  # holds the end of the heap
before = resident_bytes()
del large
print(before - resident_bytes())
"""


def given_back(keeps_none: bool) -> int:
    """Bytes that a process gives back when it frees 16 MiB."""
    code = _LARGE_BLOCKS.format(keeps_none=keeps_none)
    done = subprocess.run((sys.executable, "-c", code), check=True, capture_output=True, text=True)
    return int(done.stdout)


def test_a_large_block_is_given_back_as_soon_as_it_is_freed() -> None:
    assert given_back(keeps_none=True) > 15 * MIB


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="others learn nothing")
def test_without_that_it_would_be_kept() -> None:
    assert given_back(keeps_none=False) < MIB
