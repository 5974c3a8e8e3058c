"""Texts that would do harm if they were taken for more than text, and where they can be put."""

from typing import Any

import grpc
from grpc import StatusCode

from tests.attacks.fuzz import STREAMS
from tests.attacks.misplaced import MISPLACED
from tests.attacks.requests import OPEN_REQUESTS, REQUESTS, WATCH
from tests.attacks.texts import Replacement, replacements

HOSTILE = (
    "'; DROP TABLE aggregates; --",
    "x' OR '1'='1",
    "\\'; SELECT pg_sleep(5); --",
    "$1 %s {0} ${x} {{7*7}}",
    "1/0 == 1 || true",
    '[1,2,3].all(x, [1,2,3].all(y, "a".matches("(a+)+$")))',
    "(a+)+$",
    "../../../etc/passwd",
    "/etc/passwd\u202e",
    "%2e%2e%2f%00",
    "\x00",
    "\r\nx-injected: 1",
    "😀" * 2_000,
)


def places(rpc: str) -> list[tuple[str, Replacement]]:
    """Where a text may be in a request, each place once."""
    found = list(replacements({**REQUESTS, **OPEN_REQUESTS}[rpc]))
    for request in MISPLACED.get(rpc, ()):
        known = {path for path, _ in found}
        found += (place for place in replacements(request) if place[0] not in known)
    return found


async def code_of(channel: grpc.aio.Channel, rpc: str, data: bytes, metadata: Any) -> StatusCode:
    try:
        if rpc in STREAMS:
            stream: Any = channel.stream_stream(rpc)
            call = stream(iter([data]), timeout=60, metadata=metadata)
            async for answer in call:
                number = STREAMS[rpc](answer)
                return next(each for each in StatusCode if each.value[0] == number)
        if rpc == WATCH:
            watch: Any = channel.unary_stream(rpc)
            await anext(aiter(watch(data, timeout=60, metadata=metadata)))
            return StatusCode.OK
        unary: Any = channel.unary_unary(rpc)
        await unary(data, timeout=60, metadata=metadata)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return StatusCode.OK
