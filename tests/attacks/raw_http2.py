"""HTTP/2 as no client speaks it: single frames, on a connection of one's own."""

import socket
import ssl
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Final, Self

from hpack import Encoder
from hyperframe.frame import (
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
)

from tests.kit.secured_server import Fortress

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
CANCEL: Final = 8
ENHANCE_YOUR_CALM: Final = 11


class Http2Connection:
    """A connection that has sent its preface."""

    def __init__(self, connected: socket.socket, authority: str, window: int = 65_535) -> None:
        """The server may send `window` bytes of each answer before it is asked for more."""
        self._authority = authority
        self._socket = connected
        settings = SettingsFrame(0, {SettingsFrame.INITIAL_WINDOW_SIZE: window})
        self.send(PREFACE + settings.serialize())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def headers(
        self, stream: int, path: str, metadata: Sequence[tuple[str, str | bytes]] = ()
    ) -> bytes:
        """The frame that begins a call; no state is kept, so that frames can be made ahead."""
        pairs: list[tuple[str, str | bytes]] = [
            (":method", "POST"),
            (":scheme", "https"),
            (":path", path),
            (":authority", self._authority),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            *metadata,
        ]
        encoder = Encoder()
        encoder.header_table_size = 0
        block = encoder.encode(pairs)
        return HeadersFrame(stream, block, flags=["END_HEADERS"]).serialize()

    def frames(self, timeout: float) -> Iterator[Frame]:
        """What the server sends, until it closes the connection or is quiet for so long."""
        self._socket.settimeout(timeout)
        buffer = b""
        while True:
            while len(buffer) >= 9:
                frame, length = Frame.parse_frame_header(memoryview(buffer[:9]))
                if len(buffer) < 9 + length:
                    break
                frame.parse_body(memoryview(buffer[9 : 9 + length]))
                buffer = buffer[9 + length :]
                yield frame
            try:
                part = self._socket.recv(65_536)
            except (TimeoutError, ConnectionError, ssl.SSLError):
                return
            if not part:
                return
            buffer += part

    def why_closed(self, timeout: float = 60) -> int | None:
        """The code with which the server says good-bye; None if it does not."""
        for frame in self.frames(timeout):
            if isinstance(frame, GoAwayFrame):
                return frame.error_code
        return None


class RawConnection(Http2Connection):
    """One over TLS, to a fortress."""

    def __init__(self, fortress: Fortress, window: int = 65_535) -> None:
        connected = tls_context(fortress).wrap_socket(connect(fortress))
        super().__init__(connected, fortress.server.address, window)


def reset(stream: int) -> bytes:
    return RstStreamFrame(stream, CANCEL).serialize()


def ping() -> bytes:
    return PingFrame(0, b"12345678").serialize()


def connect(fortress: Fortress) -> socket.socket:
    """A TCP connection on which nothing has been said."""
    host, _, port = fortress.server.address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=60)


def tls_context(fortress: Fortress) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=fortress.authority.certificate.decode())
    context.check_hostname = False
    context.set_alpn_protocols(["h2"])
    context.load_cert_chain(*fortress.client_files)
    return context
