"""Turns of the event loop."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")


async def _contention(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def a_moment() -> None:
    """Let whatever can happen without waiting happen."""
    await _contention(100)


async def at_hand(ask: Callable[[int], Answer], count: int) -> list[Answer]:
    """Ask `count` times, a few turns apart, as requests are read one after the other."""
    answers = []
    for number in range(count):
        answers.append(ask(number))
        await _contention(5)
    return answers
