"""Ports of gRPC: opening them, and what their servers are told.

gRPC ignores an option that it does not know, without a word, so a test looks for the effect of
each: tests/unit/server/test_grpc_options.py.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import grpc

from runtime.time_outs import milliseconds
from server.rpc.stream_life import grace
from server.settings import Settings, SettingsRefused

Options: TypeAlias = Sequence[tuple[str, int]]

FASTEST_PING: Final = 10.0
"""Seconds between pings that a client may send; gRPC's clients do not ping faster."""
MAX_HEALTH_REQUEST_BYTES: Final = 1_024
HEALTH_STREAMS: Final = 8
"""Calls at a time on a connection to the port for health alone."""


def store_options(settings: Settings) -> Options:
    """For the port of clients."""
    return (
        *_connection_options(settings),
        # Beyond our own limit, so that the answer is ours; and a bound all the same.
        ("grpc.max_receive_message_length", 2 * settings.max_message_bytes),
        # Above what the repository lets wait, so that the caller gets its UNAVAILABLE.
        ("grpc.server.max_pending_requests", 4 * settings.max_waiting),
        ("grpc.server.max_pending_requests_hard_limit", 8 * settings.max_waiting),
        ("grpc.max_concurrent_streams", settings.max_streams),
        # It would refuse calls of a client that keeps to the line above: docs/adr/0043.
        ("grpc.http.overload_protection", 0),
    )


def health_options(settings: Settings) -> Options:
    """For the port that is for health alone."""
    return (
        *_connection_options(settings),
        ("grpc.max_receive_message_length", MAX_HEALTH_REQUEST_BYTES),
        ("grpc.max_concurrent_streams", HEALTH_STREAMS),
    )


def _connection_options(settings: Settings) -> Options:
    age = settings.max_connection_age
    return (
        # A port that another process listens on is refused, and not shared with it.
        ("grpc.so_reuseport", 0),
        # Clients look for new servers when they connect, so they must connect now and then.
        ("grpc.max_connection_age_ms", milliseconds(age)),
        ("grpc.max_connection_age_grace_ms", milliseconds(grace(age))),
        # A client may ask whether an idle connection is still good, but not all the time: who is
        # too fast three times is sent away.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", milliseconds(FASTEST_PING)),
        ("grpc.server_handshake_timeout_ms", milliseconds(settings.handshake_timeout)),
    )


def listen(
    server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None = None
) -> int:
    """Listen on `address`; returns the port. Raises SettingsRefused if that cannot be done.

    Without credentials in plaintext.
    """
    try:
        if credentials is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        # It only tells of a variable to set; why it failed, gRPC's core writes to standard error.
        raise SettingsRefused(f"cannot listen on {address}: see gRPC's line before") from error
    if port == 0:
        raise SettingsRefused(f"cannot listen on {address}")
    return port
