"""Attacks leave nothing behind."""

from concurrent.futures import ThreadPoolExecutor

import grpc

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
from tests.attacks.fortress import Fortress
from tests.attacks.fuzz import fuzz


async def attack(fortress: Fortress, seed: int) -> int:
    """Everything, once; returns the bytes that the server holds afterwards."""
    # Those that take long because the server is patient, side by side.
    with ThreadPoolExecutor(2 * SLOW + 2) as pool:
        for _ in range(SLOW):
            pool.submit(slow_handshake, fortress)
            pool.submit(slow_body, fortress)
        pool.submit(idle_connections, fortress, 500)
        pool.submit(rapid_resets, fortress, 10_000)
    ping_flood(fortress, 10_000)
    large_message(fortress, 64 * MIB)
    large_message(fortress, 64 * MIB, grpc.Compression.Gzip)
    large_message(fortress, 5 * MIB)
    large_metadata(fortress, 17 * 1_024)
    await fuzz(fortress, 600, seed)
    return fortress.memory


async def test_memory_after_the_attacks_is_within_a_tenth_of_before(fortress: Fortress) -> None:
    before = await attack(fortress, seed=1)  # the first run warms everything up
    after = await attack(fortress, seed=2)
    assert after < 1.1 * before, f"{before / MIB:.0f} MiB before, {after / MIB:.0f} MiB after"
