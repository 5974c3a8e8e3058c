"""One call, as the stages around a handler see it."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeAlias
from uuid import uuid4

import grpc

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

REQUEST_ID_HEADER: Final = "x-request-id"
_ACCEPTED_ID: Final = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


_NO_MESSAGES: Final = _nothing()


@dataclass(eq=False)
class Call:
    """What is known of a call while it runs."""

    method: str
    """The full name, such as /featom.v1.FeatureStoreService/GetAggregate."""
    context: Context
    request: bytes = b""
    """The message of a unary call."""
    stream: AsyncIterator[bytes] = _NO_MESSAGES
    """The messages of a stream."""
    code: grpc.StatusCode = grpc.StatusCode.OK
    """How it ended."""
    blind: bool = False
    """Whether it is a write of which nobody could tell whether it was applied before."""

    @cached_property
    def request_id(self) -> str:
        """The caller's name for this call, or one of ours: it ties answers to log lines."""
        for name, value in self.context.invocation_metadata() or ():
            if name == REQUEST_ID_HEADER and _ACCEPTED_ID.fullmatch(str(value)):
                return str(value)
        return uuid4().hex

    @property
    def deadline(self) -> float | None:
        """When the caller stops waiting, on the event loop's clock."""
        remaining = self.context.time_remaining()
        # grpc tells of no deadline by one that is centuries away.
        if remaining is None or remaining > 1e9:
            return None
        return asyncio.get_running_loop().time() + float(remaining)
