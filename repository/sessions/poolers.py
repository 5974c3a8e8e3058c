"""Whether a pooler shares its connections to PostgreSQL between ours.

In session mode a connection keeps its backend for as long as it lasts. In transaction and statement
mode each statement gets a backend that is free: of two connections, the second gets the one that
the first had a moment ago; or, if others were faster, the first gets another one next time.
"""

import asyncio
from typing import Final

from repository.sessions.facts import PREPARED_ELSEWHERE, Session
from repository.statements import SESSION

_ROUNDS: Final = 4
_PATIENCE: Final = 2.0


async def share_backends(one: Session, other: Session) -> bool:
    """Whether two open connections, which nobody else uses now, are served by the same backends."""
    seen: tuple[set[int], set[int]] = (set(), set())
    try:
        async with asyncio.timeout(_PATIENCE):
            for _ in range(_ROUNDS):
                for session, pids in zip((one, other), seen, strict=True):
                    pids.add(await session.fetchval(SESSION["own_pid"]))
    except PREPARED_ELSEWHERE:
        return True
    except TimeoutError:
        # A connection that must wait for a backend has none in common with one that has its own.
        return False
    return not seen[0].isdisjoint(seen[1]) or any(len(pids) > 1 for pids in seen)
