"""What happens around every handler, in one declared order.

grpc's own interceptors run for each call anew and see no error that a stream raises; middleware is
put around its handler once, when the server starts.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Any, TypeAlias, TypeVar

import grpc
from grpc import StatusCode
from grpc_status import rpc_status

from formats.json_lines import FIELDS
from server.rpc.call import REQUEST_ID_HEADER, Call, current_call
from server.rpc.errors import to_status
from server.rpc.retries import pushback

# A unary handler returns its answer; one of a stream writes its answers itself.
Handler: TypeAlias = Callable[[Call], Awaitable[Any]]
Middleware: TypeAlias = Callable[[Handler], Handler]

# Each message of a stream has middleware too: what it asks for is begun, or raises.
MessageHandler: TypeAlias = Callable[[Call, Any], "asyncio.Future[Any]"]
MessageMiddleware: TypeAlias = Callable[[MessageHandler], MessageHandler]

Wrapped = TypeVar("Wrapped", Handler, MessageHandler)

log = logging.getLogger(__name__)
access_log = logging.getLogger("featom.access")


def access_logged(handler: Handler) -> Handler:
    """Log each call that fails, and with the level DEBUG each call."""

    async def logged(call: Call) -> Any:
        current_call.set(call)
        begun = perf_counter()
        try:
            return await handler(call)
        finally:
            level = logging.INFO if call.code.value[0] else logging.DEBUG
            if access_log.isEnabledFor(level):
                peer = call.context.peer()
                what = (call.request_id, call.method, call.code.name, peer)
                fields = {
                    "method": call.method,
                    "code": call.code.name,
                    "peer": peer,
                    "seconds": round(perf_counter() - begun, 6),
                }
                access_log.log(level, "%s %s %s %s", *what, extra={FIELDS: fields})

    return logged


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
