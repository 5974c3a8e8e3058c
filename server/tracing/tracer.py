"""What updates, reads, batches and statements are as spans."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Link, Span, SpanKind
from opentelemetry.trace.status import Status, StatusCode

from telemetry.tracing import Answer


class OpenTelemetryTracer:
    """Implements Tracer of domain.tracing.

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
    span.set_status(Status(StatusCode.ERROR, kind))
