"""What strangers and careless callers do to a server; each attack returns how it was answered."""

import ssl
import threading
import time
from contextlib import suppress
from typing import Any, Final

import grpc

from featom.v1.feature_store_pb2 import GetAggregateRequest, ListAggregatesRequest
from featom.v1.feature_store_pb2_grpc import FeatureStoreServiceStub
from tests.attacks.raw_http2 import RawConnection, connect, ping, reset, tls_context
from tests.kit.secured_server import OWNER, Fortress

STORE: Final = "/featom.v1.FeatureStoreService/"
MIB: Final = 1_024 * 1_024
SLOW: Final = 40
"""Slow peers of a sort at a time."""


def answer_to(call: Any, *args: Any, **rest: Any) -> tuple[grpc.StatusCode, str]:
    """The code and the message that a call ends with."""
    try:
        call(*args, timeout=60, **rest)
    except grpc.RpcError as error:
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""


def listing(
    channel: grpc.Channel,
    metadata: list[tuple[str, str]] | None = None,
    entity_type: str = "nothing",
) -> tuple[grpc.StatusCode, str]:
    """A small honest call."""
    store: Any = FeatureStoreServiceStub(channel)
    request = ListAggregatesRequest(entity_type=entity_type)
    return answer_to(store.ListAggregates, request, metadata=metadata)


def large_message(
    fortress: Fortress, size: int, compression: grpc.Compression = grpc.Compression.NoCompression
) -> tuple[grpc.StatusCode, str]:
    """One message of so many bytes, which compress to nearly nothing."""
    with fortress.channel(max_send_message_length=-1) as channel:
        call: Any = channel.unary_unary(f"{STORE}UpdateFeatures")
        metadata = fortress.as_caller(OWNER)
        return answer_to(call, bytes(size), metadata=metadata, compression=compression)


def large_metadata(fortress: Fortress, size: int) -> tuple[grpc.StatusCode, str]:
    with fortress.channel() as channel:
        call: Any = channel.unary_unary(f"{STORE}GetAggregate")
        metadata = [*fortress.as_caller(OWNER), ("x-large", "x" * size)]
        return answer_to(call, b"", metadata=metadata)


def rapid_resets(fortress: Fortress, count: int) -> int | None:
    """Begin calls and take each back at once; returns why the connection was ended at last."""
    with RawConnection(fortress) as connection:
        metadata = fortress.as_caller(OWNER)
        request = GetAggregateRequest().SerializeToString()
        assert request == b""
        for first in range(1, 2 * count, 200):
            numbers = range(first, min(first + 200, 2 * count), 2)
            frames = (
                connection.headers(number, f"{STORE}GetAggregate", metadata) + reset(number)
                for number in numbers
            )
            with suppress(OSError, ssl.SSLError):  # it may be ended while we are at it
                connection.send(b"".join(frames))
        return connection.why_closed()


def no_text(fortress: Fortress, count: int) -> None:
    """Calls with metadata that is no text, answered before this returns."""
    with RawConnection(fortress) as connection:
        metadata: list[tuple[str, str | bytes]] = [*fortress.as_caller(OWNER)]
        metadata.append(("x-request-id", b"\xff\xfe"))
        for number in range(1, 2 * count, 2):
            connection.send(connection.headers(number, f"{STORE}GetAggregate", metadata))
            connection.send(data_frame(number, bytes(5)))
        connection.why_closed()


def unread_answers(fortress: Fortress, updates: int) -> None:
    """Updates on a stream whose answers have no room, and then the caller is gone."""
    with RawConnection(fortress, window=0) as connection:
        path = f"{STORE}StreamUpdateFeatures"
        connection.send(connection.headers(1, path, fortress.as_caller(OWNER)))
        # Without an update in it, each is answered with an error.
        connection.send(data_frame(1, bytes(5)) * updates)
        connection.why_closed(timeout=0.5)


def ping_flood(fortress: Fortress, count: int) -> int | None:
    """Returns why the connection was ended."""
    with RawConnection(fortress) as connection:
        with suppress(OSError, ssl.SSLError):  # it may be ended while we are at it
            connection.send(ping() * count)
        return connection.why_closed()


def idle_connections(fortress: Fortress, count: int) -> tuple[bool, float]:
    """Connect and say nothing; returns whether the server was well, and when all were ended."""
    begin = time.monotonic()
    sockets = [connect(fortress) for _ in range(count)]
    well = fortress.is_well()
    for each in sockets:
        with suppress(ConnectionError):
            while each.recv(1_024):
                pass
        each.close()
    return well, time.monotonic() - begin


def slow_handshake(fortress: Fortress) -> float:
    """Shake hands one byte at a time; returns after how many seconds that was ended."""
    outgoing = ssl.MemoryBIO()
    hello = tls_context(fortress).wrap_bio(ssl.MemoryBIO(), outgoing)
    with suppress(ssl.SSLWantReadError):
        hello.do_handshake()
    begin = time.monotonic()
    with connect(fortress) as plain:
        plain.settimeout(0.1)
        for byte in outgoing.read():
            with suppress(TimeoutError):
                try:
                    plain.sendall(bytes([byte]))
                    if plain.recv(1_024) == b"":
                        break
                except ConnectionError:
                    break
    return time.monotonic() - begin


def slow_body(fortress: Fortress) -> float:
    """Send a message of 95 bytes, one a second; returns after how many seconds that was ended."""
    begin = time.monotonic()
    with RawConnection(fortress) as connection:
        connection.send(connection.headers(1, f"{STORE}UpdateFeatures", fortress.as_caller(OWNER)))
        connection.send(data_frame(1, b"\0\0\0\0\x5f"))
        ended = threading.Event()

        def trickle() -> None:
            with suppress(OSError, ssl.SSLError):
                while not ended.wait(1.0):
                    connection.send(data_frame(1, b"x"))

        thread = threading.Thread(target=trickle)
        thread.start()
        for _ in connection.frames(timeout=20):
            pass
        ended.set()
        thread.join()
    return time.monotonic() - begin


def data_frame(stream: int, data: bytes) -> bytes:
    return len(data).to_bytes(3, "big") + b"\0\0" + stream.to_bytes(4, "big") + data
