"""Both ports of a server process are opened with their options: tests/unit/server/test_grpc_options
sees what these do."""

import re
import socket

from hyperframe.frame import SettingsFrame

from server.rpc.listening import HEALTH_STREAMS
from tests.attacks.raw_http2 import Http2Connection
from tests.kit.serving import serving


def calls_at_a_time(address: str) -> int:
    host, _, port = address.rpartition(":")
    connected = socket.create_connection((host, int(port)), timeout=30)
    with Http2Connection(connected, address) as connection:
        for frame in connection.frames(30):
            if isinstance(frame, SettingsFrame):
                return int(frame.settings[SettingsFrame.MAX_CONCURRENT_STREAMS])
    raise AssertionError("no settings")


def test_a_server_opens_its_ports_with_their_options(database: str) -> None:
    with serving(database, max_streams=7, health_listen="127.0.0.1:0") as server:
        health = re.search(r"health on (\S+)", server.log)
        assert health is not None
        assert calls_at_a_time(server.address) == 7
        assert calls_at_a_time(health[1]) == HEALTH_STREAMS
