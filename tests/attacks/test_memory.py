"""Attacks leave nothing behind.

What is compared is a server that has served honest callers for a moment, with the same server after
every attack: so what only the first of its kind leaves counts too.
"""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import grpc
import pytest

from server.process.resources import TRIM_INTERVAL
from tests.attacks.attacks import (
    MIB,
    SLOW,
    idle_connections,
    large_message,
    large_metadata,
    ping_flood,
    rapid_resets,
    slow_body,
    slow_handshake,
)
from tests.attacks.fuzz import fuzz
from tests.attacks.many_calls import bad_tokens, honest_calls, hostile_texts, long_names
from tests.kit.secured_server import Fortress

MOST_GROWTH = 0.1
LEEWAY = 5.0
PATIENCE = 100.0


@pytest.fixture
def fresh(attacked_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fortress]:
    """A server that nobody has attacked before."""
    with Fortress(tmp_path_factory.mktemp("fresh")).serving(attacked_database) as fortress:
        yield fortress


async def attack(fortress: Fortress) -> None:
    """Everything, once."""
    # What takes most memory comes last, so that nothing else makes use of it.
    bad_tokens(fortress, each=20)
    await hostile_texts(fortress)
    await long_names(fortress, 40)
    await fuzz(fortress, 600, seed=2)
    # Those that take long because the server is patient, side by side.
    with ThreadPoolExecutor(2 * SLOW + 2) as pool:
        slow: list[Future[float]] = []
        for _ in range(SLOW):
            slow.append(pool.submit(slow_handshake, fortress))
            slow.append(pool.submit(slow_body, fortress))
        idle = pool.submit(idle_connections, fortress, 500)
        resets = pool.submit(rapid_resets, fortress, 10_000)
        for each in slow:
            each.result()
        idle.result()
        resets.result()
    ping_flood(fortress, 10_000)
    large_message(fortress, 64 * MIB)
    large_message(fortress, 64 * MIB, grpc.Compression.Gzip)
    large_message(fortress, 5 * MIB)
    large_message(fortress, 5 * MIB, grpc.Compression.Gzip)
    large_metadata(fortress, 17 * 1_024)


async def at_rest(fortress: Fortress, enough: float = 0.0) -> int:
    """The bytes that the server holds once it has given back what it does not need.

    No more is waited for than `enough`.
    """
    least = fortress.memory
    # The first time it looks soon, and later perhaps one interval later.
    latest = time.monotonic() + TRIM_INTERVAL + (PATIENCE if enough else LEEWAY)
    while least > enough and time.monotonic() < latest:
        await asyncio.sleep(0.5)
        least = min(least, fortress.memory)
    return least


# It waits twice until the server gives memory back.
@pytest.mark.timeout(300)
async def test_memory_after_the_attacks_is_within_a_tenth_of_before(fresh: Fortress) -> None:
    await honest_calls(fresh)
    before = await at_rest(fresh)
    await attack(fresh)
    after = await at_rest(fresh, (1 + MOST_GROWTH) * before)
    told = f"{before / MIB:.1f} MiB before, {after / MIB:.1f} MiB after"
    assert after <= (1 + MOST_GROWTH) * before, told
