"""Those who hold connections or flood them are sent away, and nobody else notices."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import pytest

from server.rpc.stream_life import grace
from tests.attacks.attacks import (
    SLOW,
    idle_connections,
    ping_flood,
    rapid_resets,
    slow_body,
    slow_handshake,
    unread_answers,
)
from tests.attacks.raw_http2 import ENHANCE_YOUR_CALM, connect
from tests.kit.secured_server import CONNECTION_AGE, HANDSHAKE_TIMEOUT, Fortress

LEEWAY = 25
"""Seconds for a busy machine. Whom nobody ends stays for half a minute and more."""
# Connections end at this age, give or take a tenth, and have a grace to end their calls.
GONE_WITHIN = 1.1 * CONNECTION_AGE + grace(CONNECTION_AGE) + LEEWAY


@pytest.fixture(scope="module")
def slow_peers(fortress: Fortress) -> Iterator[dict[str, list["Future[float]"]]]:
    """Slow peers of both sorts, all at once: how long each of them was let be."""
    with ThreadPoolExecutor(2 * SLOW) as pool:
        yield {
            sort: [pool.submit(attack, fortress) for _ in range(SLOW)]
            for sort, attack in (("handshake", slow_handshake), ("body", slow_body))
        }


def test_while_slow_peers_are_there_callers_are_answered(
    fortress: Fortress, slow_peers: dict[str, list["Future[float]"]]
) -> None:
    time.sleep(0.2)
    assert fortress.is_well()
    assert not any(peer.done() for peer in slow_peers["body"])


def test_500_idle_connections_are_ended_and_nobody_waits_for_them(fortress: Fortress) -> None:
    well, seconds = idle_connections(fortress, 500)
    assert well
    assert seconds < HANDSHAKE_TIMEOUT + LEEWAY


def test_slow_handshakes_are_ended(slow_peers: dict[str, list["Future[float]"]]) -> None:
    for peer in slow_peers["handshake"]:
        assert peer.result() < HANDSHAKE_TIMEOUT + LEEWAY


def test_bodies_that_come_a_byte_a_second_end_with_their_connection(
    slow_peers: dict[str, list["Future[float]"]],
) -> None:
    for peer in slow_peers["body"]:
        assert peer.result() < GONE_WITHIN


def test_rapid_resets_of_10000_streams_harm_nobody(fortress: Fortress) -> None:
    """They are cheap to refuse: the connection lives to its age, as any other does."""
    assert rapid_resets(fortress, 10_000) == 0


def test_callers_who_go_without_reading_their_answers_are_no_error_of_the_server(
    fortress: Fortress,
) -> None:
    before = fortress.server.log
    for _ in range(5):
        unread_answers(fortress, 300)
    gone = "StreamUpdateFeatures CANCELLED"
    latest = time.monotonic() + LEEWAY
    while (told := fortress.server.log[len(before) :]).count(gone) < 5:
        assert time.monotonic() < latest, told
        time.sleep(0.05)
    assert "INTERNAL" not in told
    assert "Traceback" not in told


def test_who_floods_with_pings_is_sent_away(fortress: Fortress) -> None:
    assert ping_flood(fortress, 10_000) == ENHANCE_YOUR_CALM


def test_what_is_not_tls_is_ended(fortress: Fortress) -> None:
    with connect(fortress) as plain:
        plain.settimeout(HANDSHAKE_TIMEOUT + LEEWAY)
        plain.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        with suppress(ConnectionError):
            while plain.recv(1_024):
                pass
        assert isinstance(plain, socket.socket)
