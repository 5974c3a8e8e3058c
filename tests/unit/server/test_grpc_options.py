"""Options of gRPC are known to it, and take effect: it ignores what it does not know."""

import asyncio
import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from grpc import StatusCode
from hyperframe.frame import Frame, GoAwayFrame, SettingsFrame

from server.rpc.listening import (
    FASTEST_PING,
    HEALTH_STREAMS,
    MAX_HEALTH_REQUEST_BYTES,
    Options,
    health_options,
    listen,
    store_options,
)
from server.rpc.stream_life import grace
from server.settings import Settings, SettingsRefused
from tests.attacks.raw_http2 import ENHANCE_YOUR_CALM, Http2Connection, ping

ROOT: Final = Path(__file__).parents[3]
FOLDERS: Final = ("server", "tests", "benchmarks", "examples", "deploy", "docs")
BINARY: Final = Path(grpc.__file__).parent / "_cython"
PATIENCE: Final = 60.0
"""Seconds for what comes much sooner on any machine."""
ALONE: Final = ("grpc.use_local_subchannel_pool", 1)

OPTIONS: Final[list[Callable[[Settings], Options]]] = [store_options, health_options]


def named_options() -> Iterator[tuple[str, str]]:
    """Every option of gRPC that a file of the project names, and the file."""
    for file in (each for folder in FOLDERS for each in (ROOT / folder).rglob("*.*")):
        if file.suffix in {".py", ".md", ".json", ".yaml", ".go"}:
            text = file.read_text(errors="replace")
            for found in re.finditer(r"""\(["'](grpc\.[a-z0-9_.]+)["'],""", text):
                yield found[1], str(file.relative_to(ROOT))


def test_grpc_knows_every_option_that_is_named_anywhere() -> None:
    (binary,) = (file.read_bytes() for file in BINARY.glob("cygrpc*.so"))
    known = {name.decode() for name in re.findall(rb"grpc\.[a-z0-9_.]+(?=\0)", binary)}
    named = dict(named_options())
    assert named["grpc.max_connection_age_ms"] == "server/rpc/listening.py"
    assert not {name: file for name, file in named.items() if name not in known}


class Serving:
    """A server in this process that answers each call with as many bytes as it was sent."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.held = threading.Event()
        """Calls of Hold are answered once it is set; until then the event loop stands still."""

    def http2(self) -> Http2Connection:
        return Http2Connection(self.tcp(), self.address)

    def tcp(self) -> socket.socket:
        host, _, port = self.address.rpartition(":")
        return socket.create_connection((host, int(port)), timeout=PATIENCE)


@asynccontextmanager
async def serving(options: Options) -> AsyncIterator[Serving]:
    server = grpc.aio.server(options=options)

    async def echo(request: bytes, context: object) -> bytes:
        return request

    async def hold(request: bytes, context: object) -> bytes:
        here.held.wait(PATIENCE)
        return request

    async def last(requests: AsyncIterator[bytes], context: object) -> None:
        async for _ in requests:
            pass

    handlers: Any = {
        "Echo": grpc.unary_unary_rpc_method_handler(echo),
        "Hold": grpc.unary_unary_rpc_method_handler(hold),
        "Last": grpc.stream_stream_rpc_method_handler(last),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test", handlers),))
    here = Serving(f"127.0.0.1:{listen(server, '127.0.0.1:0')}")
    await server.start()
    try:
        yield here
    finally:
        here.held.set()
        await server.stop(None)


def channel_to(here: Serving) -> grpc.Channel:
    return grpc.insecure_channel(
        here.address,
        [ALONE, ("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
    )


async def echoed(here: Serving, size: int) -> StatusCode:
    def call() -> StatusCode:
        with channel_to(here) as channel:
            method: Any = channel.unary_unary("/test/Echo")
            try:
                assert len(method(bytes(size), timeout=PATIENCE)) == size
            except grpc.RpcError as error:
                return error.code()
            return StatusCode.OK

    return await asyncio.to_thread(call)


def first(frames: Iterator[Frame], kind: type[Frame]) -> Any:
    return next((frame for frame in frames if isinstance(frame, kind)), None)


@pytest.mark.parametrize("options", OPTIONS)
async def test_a_port_that_is_taken_is_not_shared(options: Callable[[Settings], Options]) -> None:
    async with serving(options(Settings())) as here:
        another = grpc.aio.server(options=options(Settings()))
        with pytest.raises(SettingsRefused, match="cannot listen on"):
            listen(another, here.address)


async def test_pings_are_welcome_every_ten_seconds_and_no_faster_also_without_calls() -> None:
    """On each sort of port, side by side: it takes more than ten seconds."""
    found = await asyncio.gather(*map(_pinged, OPTIONS))
    assert found == [(False, ENHANCE_YOUR_CALM)] * len(OPTIONS)


async def _pinged(options: Callable[[Settings], Options]) -> tuple[bool, int | None]:
    """Whether the connection was closed after pings that are welcome, and why in the end."""
    async with serving(options(Settings(max_connection_age=600))) as here:

        def ping_it() -> tuple[bool, int | None]:
            with here.http2() as connection:
                # The second and the third are too fast: one more of these would be too many.
                connection.send(3 * ping())
                time.sleep(FASTEST_PING + 0.5)
                connection.send(ping())
                early = first(connection.frames(1.0), GoAwayFrame)
                connection.send(ping())
                return early is not None, connection.why_closed(PATIENCE)

        return await asyncio.to_thread(ping_it)


@pytest.mark.parametrize("options", OPTIONS)
async def test_a_connection_is_asked_to_leave_at_its_age_and_cut_after_its_grace(
    options: Callable[[Settings], Options],
) -> None:
    age = 0.5
    async with serving(options(Settings(max_connection_age=age))) as here:

        def ages() -> tuple[int, float]:
            with here.http2() as connection:
                begun = time.monotonic()
                connection.send(connection.headers(1, "/test/Last"))
                goodbye = first(connection.frames(PATIENCE), GoAwayFrame)
                for _ in connection.frames(PATIENCE):
                    pass
                return goodbye.error_code, time.monotonic() - begun

        code, lasted = await asyncio.to_thread(ages)
    assert code == 0
    # gRPC's jitter is a tenth. After 20 s it ends whoever does not answer that it has to leave.
    assert 0.9 * age + grace(age) - 0.1 < lasted < 15


@pytest.mark.parametrize("options", OPTIONS)
async def test_a_connection_that_says_nothing_is_closed(
    options: Callable[[Settings], Options],
) -> None:
    async with serving(options(Settings(handshake_timeout=0.5, max_connection_age=600))) as here:

        def silent() -> float:
            with here.tcp() as connection:
                begun = time.monotonic()
                while connection.recv(1_024):
                    pass
                return time.monotonic() - begun

        # Without the option it is a minute.
        assert await asyncio.to_thread(silent) < 30


@pytest.mark.parametrize(
    ("options", "most"),
    [
        (store_options(Settings(max_streams=7)), 7),
        (health_options(Settings()), HEALTH_STREAMS),
    ],
)
async def test_a_client_is_told_how_many_calls_it_may_have_at_a_time(
    options: Options, most: int
) -> None:
    async with serving(options) as here:

        def told() -> int:
            with here.http2() as connection:
                settings = first(connection.frames(PATIENCE), SettingsFrame).settings
                return int(settings[SettingsFrame.MAX_CONCURRENT_STREAMS])

        assert await asyncio.to_thread(told) == most


@pytest.mark.parametrize(
    ("options", "most"),
    [
        (store_options(Settings(max_message_bytes=1_000)), 2_000),
        (store_options(Settings(max_message_bytes=8_000_000)), 16_000_000),
        (health_options(Settings()), MAX_HEALTH_REQUEST_BYTES),
    ],
)
async def test_a_message_may_be_so_large_and_no_larger(options: Options, most: int) -> None:
    """An answer may be of any size."""
    async with serving(options) as here:
        assert await echoed(here, most) is StatusCode.OK
        assert await echoed(here, most + 1) is StatusCode.RESOURCE_EXHAUSTED


async def codes_of_calls_while_the_loop_stands_still(
    options: Options, count: int, refused: int = 0
) -> dict[StatusCode, int]:
    """The loop goes on when so many are refused, or never will be."""
    async with serving(options) as here:

        def call_all() -> dict[StatusCode, int]:
            with channel_to(here) as channel:
                hold: Any = channel.unary_unary("/test/Hold")
                first_call = hold.future(b"", timeout=PATIENCE)
                method: Any = channel.unary_unary("/test/Echo")
                calls = [method.future(b"", timeout=PATIENCE) for _ in range(count)]
                # Whatever gRPC refuses it refuses by itself, without the loop.
                latest = time.monotonic() + PATIENCE / 2
                while sum(call.done() for call in calls) < refused and time.monotonic() < latest:
                    time.sleep(0.05)
                time.sleep(1.0)
                here.held.set()
                codes = [call.code() for call in (first_call, *calls)]
            return {code: codes.count(code) for code in set(codes)}

        with ThreadPoolExecutor(1) as pool:
            return await asyncio.get_running_loop().run_in_executor(pool, call_all)


async def test_calls_wait_in_grpc_for_as_long_as_we_let_them() -> None:
    options = store_options(Settings(max_waiting=1_000, max_streams=10_000))
    codes = await codes_of_calls_while_the_loop_stands_still(options, 3_900)
    assert codes == {StatusCode.OK: 3_901}


async def test_grpc_refuses_calls_beyond_a_multiple_of_what_may_wait() -> None:
    options = store_options(Settings(max_waiting=10, max_streams=10_000))
    codes = await codes_of_calls_while_the_loop_stands_still(options, 1_000, refused=800)
    # 80 may wait; gRPC alone would let most of them wait.
    assert codes.pop(StatusCode.OK) < 200
    assert codes


async def test_a_client_that_keeps_to_the_limit_of_calls_is_refused_none() -> None:
    options = store_options(Settings(max_streams=20))
    async with serving(options) as here:

        def call_all() -> set[StatusCode]:
            with channel_to(here) as channel:
                method: Any = channel.unary_unary("/test/Echo")
                calls = [method.future(b"", timeout=PATIENCE) for _ in range(5_000)]
                return {call.code() for call in calls}

        assert await asyncio.to_thread(call_all) == {StatusCode.OK}
