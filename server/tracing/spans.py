"""What calls, updates, reads, batches and statements are as spans.

Those of calls follow the semantic conventions of RPC.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from grpc import StatusCode
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Link, Span, SpanKind, format_span_id, format_trace_id
from opentelemetry.trace.status import Status
from opentelemetry.trace.status import StatusCode as SpanStatus

from server.rpc.call import Call
from server.rpc.middleware import Handler, Middleware
from telemetry.tracing import Answer

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
                    _describe_call(span, call)

        return in_span

    return middleware


def _callers_context(call: Call) -> Context:
    metadata = call.context.invocation_metadata() or ()
    return propagate.extract({name: value for name, value in metadata if isinstance(value, str)})


def _describe_call(span: Span, call: Call) -> None:
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


class OpenTelemetryTracer:
    """Implements Tracer of telemetry.tracing.

    A batch is below the first of its updates that is recorded, so that the trace of a lone update
    is whole; links tie it to all of them, and each of them to it.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("featom")
        self._followed: dict[Answer, Span] = {}

    def follow(self, name: str, answer: Answer) -> None:
        if not trace.get_current_span().is_recording():
            return
        self._followed[answer] = self._tracer.start_span(name)
        answer.add_done_callback(self._answered)

    @contextmanager
    def batch(self, name: str, answers: Sequence[Answer]) -> Iterator[None]:
        spans = [span for answer in answers if (span := self._followed.get(answer)) is not None]
        if not spans:
            yield
            return
        with self._tracer.start_as_current_span(
            name,
            context=trace.set_span_in_context(spans[0]),
            record_exception=False,
            set_status_on_exception=False,
            links=[Link(span.get_span_context()) for span in spans],
            attributes={"featom.batch.size": len(answers)},
        ) as batch:
            for span in spans:
                span.add_link(batch.get_span_context())
            with _described(batch):
                yield

    @contextmanager
    def statement(self, name: str) -> Iterator[None]:
        if not trace.get_current_span().is_recording():
            yield
            return
        with (
            self._tracer.start_as_current_span(
                name,
                kind=SpanKind.CLIENT,
                record_exception=False,
                set_status_on_exception=False,
                attributes={"db.system.name": "postgresql", "db.query.summary": name},
            ) as span,
            _described(span),
        ):
            yield

    def _answered(self, answer: Answer) -> None:
        span = self._followed.pop(answer)
        if answer.cancelled():
            _describe(span, asyncio.CancelledError())
        elif error := answer.exception():
            _describe(span, error)
        span.end()


@contextmanager
def _described(span: Span) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        _describe(span, error)
        raise


def _describe(span: Span, error: BaseException) -> None:
    """By its kind alone: its text may name what is stored."""
    kind = type(error).__name__
    span.set_attribute("error.type", kind)
    sqlstate = getattr(error, "sqlstate", None)
    if sqlstate is not None:
        span.set_attribute("db.response.status_code", sqlstate)
    span.set_status(Status(SpanStatus.ERROR, kind))
