"""What happens around every handler, in one declared order.

grpc's own interceptors run for each call anew and see no error that a stream raises; middleware is
put around its handler once, when the server starts.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias, TypeVar

import grpc
from grpc import StatusCode
from grpc_status import rpc_status

from server.rpc.call import REQUEST_ID_HEADER, Call
from server.rpc.errors import meaning_of, to_status
from server.rpc.retries import pushback

# A unary handler returns its answer; one of a stream writes its answers itself.
Handler: TypeAlias = Callable[[Call], Awaitable[Any]]
Middleware: TypeAlias = Callable[[Handler], Handler]

# Each message of a stream has middleware too: what it asks for is begun, or raises.
MessageHandler: TypeAlias = Callable[[Call, Any], "asyncio.Future[Any]"]
MessageMiddleware: TypeAlias = Callable[[MessageHandler], MessageHandler]

Wrapped = TypeVar("Wrapped", Handler, MessageHandler)

log = logging.getLogger(__name__)


def with_errors(handler: Handler) -> Handler:
    """Answer an error with its status and details; the cause of an internal one is logged only."""

    async def answered(call: Call) -> Any:
        try:
            return await handler(call)
        except asyncio.CancelledError:
            call.code = call.cancelled_as
            raise
        except grpc.aio.InternalError:
            # An answer could not be sent: the caller is gone, and cannot be told anything more.
            call.code = call.cancelled_as
            raise asyncio.CancelledError from None
        except Exception as error:
            call.on_error(error)
            call.reason = meaning_of(error).reason
            call.code, status = to_status(error, call.request_id)
            if call.code is StatusCode.INTERNAL:
                log.exception("%s %s failed", call.request_id, call.method)
            described = rpc_status.to_status(status)
            metadata = (
                *described.trailing_metadata,
                (REQUEST_ID_HEADER, call.request_id),
                *pushback(call, error),
            )
            await call.context.abort(call.code, status.message, metadata)
            raise  # abort does not return

    return answered


def wrap(handler: Wrapped, middleware: Sequence[Callable[[Wrapped], Wrapped]]) -> Wrapped:
    """Put the first of the middleware outermost."""
    for around in reversed(middleware):
        handler = around(handler)
    return handler
