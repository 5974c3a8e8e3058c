"""One call, as the middleware around a handler see it."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeAlias
from uuid import uuid4

import grpc
from google.protobuf.message import Message

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

REQUEST_ID_HEADER: Final = "x-request-id"
_DEADLINE_SLACK: Final = 0.02
"""Seconds."""
_ACCEPTED_ID: Final = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


_NO_MESSAGES: Final = _nothing()


async def _write_nowhere(answer: bytes) -> None:
    raise NotImplementedError("a unary handler returns its answer")


def _ignore(error: Exception) -> None:
    pass


@dataclass(eq=False)
class Call:
    """What is known of a call while it runs."""

    method: str
    """The full name, such as /featom.v1.FeatureStoreService/GetAggregate."""
    context: Context
    request: bytes = b""
    """The message of a unary call, as it came."""
    message: Message | None = None
    """The same, once somebody has parsed it and others will ask for it."""
    stream: AsyncIterator[bytes] = _NO_MESSAGES
    """The messages of a stream."""
    write: Callable[[bytes], Awaitable[None]] = _write_nowhere
    """Sends an answer of a stream."""
    on_error: Callable[[Exception], None] = _ignore
    """To be told of each error that the caller is answered with, in a stream too."""
    code: grpc.StatusCode = grpc.StatusCode.OK
    """How it ended."""
    reason: str = ""
    """Why, as the caller is told it; empty where nothing failed, or the caller went away."""
    principal: str = ""
    """Who calls, such as `jwt:system:serviceaccount:NAMESPACE:NAME`; empty if nobody asked."""
    trace: Mapping[str, str] | None = None
    """The trace that it is part of, as log lines name it, if it is recorded."""
    blind: bool = False
    """Whether it is a write of which nobody could tell whether it was applied before."""

    @cached_property
    def request_id(self) -> str:
        """The caller's name for this call, or one of ours: it ties answers to log lines."""
        accepted = filter(_ACCEPTED_ID.fullmatch, self.metadata(REQUEST_ID_HEADER))
        return next(accepted, None) or uuid4().hex

    def metadata(self, name: str) -> Iterator[str]:
        """What the caller sent under a name, as text."""
        for key, value in self.context.invocation_metadata() or ():
            if key == name:
                yield str(value)

    def when_over(self, tell: Callable[[], None]) -> None:
        """Tell when the caller has its answer, or gets none any more."""
        # The stubs take a function for an object of theirs.
        callback: Any = lambda _: tell()  # noqa: E731
        self.context.add_done_callback(callback)

    @property
    def log_fields(self) -> dict[str, str]:
        """What every line that is logged while it runs says of it."""
        return {"request_id": self.request_id, **(self.trace or {})}

    @property
    def deadline(self) -> float | None:
        """When the caller stops waiting, on the event loop's clock."""
        remaining = self.context.time_remaining()
        # grpc tells of no deadline by one that is centuries away.
        if remaining is None or remaining > 1e9:
            return None
        return asyncio.get_running_loop().time() + float(remaining)

    @property
    def cancelled_as(self) -> grpc.StatusCode:
        """What a cancelled call ended with: its deadline passed, or the caller went away."""
        remaining = self.context.time_remaining()
        # A caller that stops waiting at its deadline says so, and we hear it a little before ours.
        late = remaining is not None and remaining < _DEADLINE_SLACK
        return grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.CANCELLED


current_call: Final[ContextVar[Call | None]] = ContextVar("current_call", default=None)
"""The call that the running task serves, if it serves one."""
