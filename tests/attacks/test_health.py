"""Health is open to strangers, so it must stand what they do with it."""

import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from grpc import StatusCode
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from server.health.service import MAX_PER_PEER
from tests.attacks.attacks import MIB, data_frame
from tests.attacks.raw_http2 import RawConnection
from tests.kit.refusal import refusal
from tests.kit.secured_server import Fortress

SERVING: Final = HealthCheckResponse.SERVING
NOT_SERVING: Final = HealthCheckResponse.NOT_SERVING
HEALTH: Final = "/grpc.health.v1.Health/"
DELAY: Final = 5
GRACE: Final = 2
LEEWAY: Final = 60
"""Seconds for a busy machine. A server that waits for a client never ends."""


@asynccontextmanager
async def connected(fortress: Fortress) -> AsyncIterator[Callable[[], Any]]:
    """What begins an honest watch, on a connection that is shared with nobody."""
    async with grpc.aio.secure_channel(
        fortress.server.address,
        fortress.credentials(fortress.client),
        [("grpc.use_local_subchannel_pool", 1)],
    ) as channel:
        stub: Any = HealthStub(channel)
        yield lambda: stub.Watch(HealthCheckRequest(service="readiness"))


@contextmanager
def not_reading(fortress: Fortress) -> Iterator[None]:
    """Somebody who watches health and lets the server send not one byte of an answer."""
    request = HealthCheckRequest(service="readiness").SerializeToString()
    body = b"\0" + len(request).to_bytes(4, "big") + request
    with RawConnection(fortress, window=0) as connection:
        connection.send(connection.headers(1, f"{HEALTH}Watch") + data_frame(1, body))
        time.sleep(0.5)  # nothing tells when the server has begun to wait
        yield


async def test_a_watcher_that_does_not_read_holds_up_neither_others_nor_the_end(
    attacked_database: str, tmp_path: Path
) -> None:
    own = Fortress(tmp_path).serving(
        attacked_database, max_connection_age=60, drain_delay=DELAY, drain_grace=GRACE
    )
    with own as fortress, ExitStack() as stalled:
        async with connected(fortress) as watch:
            honest = watch()
            assert (await honest.read()).status == SERVING
            for _ in range(3):
                stalled.enter_context(not_reading(fortress))
            fortress.server.process.send_signal(signal.SIGTERM)
            begun = time.monotonic()
            assert (await honest.read()).status == NOT_SERVING
            assert time.monotonic() - begun < DELAY
            assert await honest.code() is StatusCode.UNAVAILABLE
        assert fortress.server.process.wait(DELAY + GRACE + LEEWAY) == 0


async def test_nobody_alone_takes_the_room_of_all_who_watch(
    attacked_database: str, tmp_path: Path
) -> None:
    own = Fortress(tmp_path).serving(attacked_database, max_connection_age=60)
    with own as fortress:
        async with connected(fortress) as watch, connected(fortress) as another:
            watches = [watch() for _ in range(MAX_PER_PEER)]
            assert {(await each.read()).status for each in watches} == {SERVING}
            refused = await refusal(watch().read())
            assert refused.told == (StatusCode.UNAVAILABLE, "OVERLOADED")
            assert (await another().read()).status == SERVING


@pytest.mark.parametrize("method", ["Check", "Watch"])
@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (b"\x0a\xff", StatusCode.INVALID_ARGUMENT),
        (HealthCheckRequest(service="x" * 257).SerializeToString(), StatusCode.INVALID_ARGUMENT),
        (bytes(5 * MIB), StatusCode.RESOURCE_EXHAUSTED),
    ],
    ids=["junk", "a long name", "a large message"],
)
async def test_what_nobody_would_ask_of_health_is_refused_with_the_reason(
    method: str, request_: bytes, code: StatusCode, fortress: Fortress
) -> None:
    credentials = fortress.credentials(fortress.client)
    async with grpc.aio.secure_channel(fortress.server.address, credentials) as channel:
        kinds: Any = {"Check": channel.unary_unary, "Watch": channel.unary_stream}
        call = kinds[method](f"{HEALTH}{method}")(request_, timeout=60)
        if method == "Watch":
            assert await call.code() is code
        else:
            assert (await refusal(call)).code is code
    assert "Traceback" not in fortress.server.log
