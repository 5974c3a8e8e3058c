"""What a handler sees of grpc, without a network."""

from collections.abc import Sequence
from typing import Any, Final

import grpc

from server.rpc.call import Call

METHOD: Final = "/featom.v1.FeatureStoreService/GetAggregate"


class Aborted(Exception):
    """The call has ended with a status."""


class FakeContext:
    """Remembers how the call was ended."""

    def __init__(
        self,
        metadata: Sequence[tuple[str, str | bytes]] = (),
        remaining: float | None = None,
        peer: str = "ipv4:127.0.0.1:1",
    ) -> None:
        self._metadata = metadata
        self._peer = peer
        self._remaining = remaining
        self.code: grpc.StatusCode | None = None
        self.message = ""
        self.trailing: dict[str, Any] = {}

    def invocation_metadata(self) -> Sequence[tuple[str, str | bytes]]:
        return self._metadata

    def time_remaining(self) -> float | None:
        return self._remaining

    def peer(self) -> str:
        return self._peer

    async def abort(
        self, code: grpc.StatusCode, details: str, trailing_metadata: Sequence[tuple[str, Any]]
    ) -> None:
        self.code, self.message, self.trailing = code, details, dict(trailing_metadata)
        raise Aborted


def call_with(context: FakeContext, request: bytes = b"") -> Call:
    fake: Any = context
    return Call(METHOD, fake, request=request)
