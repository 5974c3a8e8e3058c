"""Traffic while a synchronous standby is away, and then takes over."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from tests.consistency.checker import Report
from tests.consistency.environment import rig
from tests.consistency.storms import traffic_flows
from tests.consistency.traffic import traffic
from tests.kit.program import FEATOM
from tests.kit.roles import migrate_for_servers
from tests.kit.standby import replicated

_SETTINGS: Final = {"statement_timeout": 1.0}
"""So that servers give up on commits while the standby is away."""
_AWAY: Final = 5.0
"""Seconds: for the tries after that, too."""


async def rage_with_failover(
    seed: int, command: Sequence[str] = FEATOM
) -> tuple[Report, list[str]]:
    """One round, on a pair of its own; also returns what servers complained of.

    The recording is held against the history that the standby kept.
    """
    with replicated() as pair:
        await migrate_for_servers(pair.primary.dsn)
        await pair.be_synchronous()
        async with rig(
            pair.primary.dsn, through_proxy=True, command=command, settings=_SETTINGS
        ) as stand:
            assert stand.proxy is not None
            async with traffic(stand.recorder, stand.fleet.addresses, seed=seed):
                await traffic_flows(stand)
                pair.lose_standby()
                await asyncio.sleep(_AWAY)
                pair.primary.kill()
                stand.failed_over = time.monotonic_ns()
                stand.dsn = await asyncio.to_thread(pair.fail_over)
                stand.proxy.move_to(stand.dsn)
                await traffic_flows(stand)
            report = await stand.verdict("end")
            return report, stand.fleet.complaints
