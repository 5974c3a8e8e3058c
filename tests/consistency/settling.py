"""After a storm: every key takes a fresh update, and nothing is left hanging."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from tests.consistency.caller import Patience, call
from tests.consistency.operations import MARK, TOTAL, Kind, Part, Request, Step, Verdict
from tests.consistency.recorder import Recorder
from tests.consistency.request_mix import KEYS, THE_SAME
from tests.kit.server_process import ServerProcess
from tests.kit.sessions import sessions_of
from tests.kit.stubs import connected
from tests.kit.waiting import eventually

MOST_SESSIONS: Final = 14
"""What the pools of a server may hold by default, and its probe, which has two while it makes its
connection anew."""

_PATIENCE: Final = 100.0


class Unsettled(AssertionError):
    """Something was still wrong a while after the faults had ended."""


async def settle(recorder: Recorder, dsn: str, servers: Sequence[ServerProcess], name: str) -> None:
    """Raises Unsettled. `name` tells this storm from others of the recording."""
    for number, server in enumerate(servers):
        await _update_every_key(recorder, server, f"settle-{name}-{number}")
    await _no_session_hangs(dsn, MOST_SESSIONS * len(servers))
    for server in servers:
        await _no_descriptor_leaks(server)


async def _update_every_key(recorder: Recorder, server: ServerProcess, name: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    async with connected(server.address) as store:
        for key in KEYS:
            steps = (Step(MARK, "set", f"{name}-{key}"), Step(TOTAL, "increment", 1), THE_SAME)
            request = Request(f"{name}-{key}", -1, Kind.UPDATE, (Part(key, steps),))
            answer = await call(recorder, store, request, Patience(5.0))
            while answer.verdict is not Verdict.ACKNOWLEDGED:
                if time.monotonic() > deadline:
                    raise Unsettled(f"{key} takes no update: {answer.reason}\n{server.said()}")
                await asyncio.sleep(0.1)
                # Under another name: without a request id the first one may have been applied.
                request = _renamed(request)
                answer = await call(recorder, store, request, Patience(5.0))


def _renamed(request: Request) -> Request:
    name = f"{request.operation}'"
    (part,) = request.parts
    steps = (part.steps[0]._replace(value=name), *part.steps[1:])
    return request._replace(operation=name, parts=(part._replace(steps=steps),))


async def _no_session_hangs(dsn: str, most: int) -> None:
    """Soon no session is in the middle of anything, and there are no more than the pools hold."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        sessions = await sessions_of(dsn)
        if sessions.open <= most and sessions.busy == 0:
            return
        if time.monotonic() > deadline:
            raise Unsettled(f"{sessions}, {most} may be open")
        await asyncio.sleep(0.1)


async def _no_descriptor_leaks(server: ServerProcess) -> None:
    most = server.descriptors_at_first + MOST_SESSIONS
    await eventually(lambda: server.descriptors() <= most, why=f"more than {most} descriptors")
