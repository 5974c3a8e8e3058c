"""A span for each call, after the semantic conventions of RPC."""

from typing import Any, Final

from grpc import StatusCode
from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Span, SpanKind, format_span_id, format_trace_id
from opentelemetry.trace.status import Status
from opentelemetry.trace.status import StatusCode as SpanStatus

from server.rpc.call import Call
from server.rpc.middleware import Handler, Middleware

# What the server is to blame for; the others are the caller's.
FAILURES: Final = frozenset(
    {
        StatusCode.UNKNOWN,
        StatusCode.DEADLINE_EXCEEDED,
        StatusCode.UNIMPLEMENTED,
        StatusCode.INTERNAL,
        StatusCode.UNAVAILABLE,
        StatusCode.DATA_LOSS,
    }
)


def traced(provider: TracerProvider) -> Middleware:
    """See server.rpc.middleware. A call is part of the trace that its caller names."""
    tracer = provider.get_tracer("featom")

    def middleware(handler: Handler) -> Handler:
        async def in_span(call: Call) -> Any:
            with tracer.start_as_current_span(
                call.method.removeprefix("/"),
                context=_callers_context(call),
                kind=SpanKind.SERVER,
                record_exception=False,
                set_status_on_exception=False,
            ) as span:
                if not span.is_recording():
                    return await handler(call)
                context = span.get_span_context()
                call.trace = {
                    "trace_id": format_trace_id(context.trace_id),
                    "span_id": format_span_id(context.span_id),
                }
                try:
                    return await handler(call)
                finally:
                    _describe(span, call)

        return in_span

    return middleware


def _callers_context(call: Call) -> Context:
    metadata = call.context.invocation_metadata() or ()
    return propagate.extract({name: value for name, value in metadata if isinstance(value, str)})


def _describe(span: Span, call: Call) -> None:
    span.set_attributes(
        {
            "rpc.system.name": "grpc",
            "rpc.method": call.method.removeprefix("/"),
            "rpc.response.status_code": call.code.name,
            "featom.request_id": call.request_id,
        }
    )
    if call.code in FAILURES:
        span.set_status(Status(SpanStatus.ERROR, call.code.name))
