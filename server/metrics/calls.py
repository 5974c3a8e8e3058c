"""Metrics of calls, with the names and labels of go-grpc-prometheus, which dashboards know.

Every series is there from the start, at 0, so that the first failure of a kind is a rise.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from time import perf_counter
from typing import Any, Final, NamedTuple

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from grpc import StatusCode
from prometheus_client import CollectorRegistry, Counter, Histogram

from server.rpc.call import Call
from server.rpc.errors import INTERNAL, MEANINGS, meaning_of
from server.rpc.middleware import Handler

BUCKETS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    *(30, 60, 120),  # streams
)
# As Go spells them.
CODES: Final[Mapping[StatusCode, str]] = {
    code: "".join(word.capitalize() for word in code.name.split("_")) for code in StatusCode
} | {StatusCode.OK: "OK", StatusCode.CANCELLED: "Canceled"}

_LABELS: Final = ("grpc_type", "grpc_service", "grpc_method")


class _Method(NamedTuple):
    """The series of one method."""

    is_stream: bool
    started: Counter
    received: Counter
    sent: Counter
    seconds: Histogram
    handled: Mapping[StatusCode, Counter]


class CallMetrics:
    """Counts calls, in middleware around their handlers."""

    def __init__(self, services: Sequence[ServiceDescriptor], registry: CollectorRegistry) -> None:
        self._started = Counter(
            "grpc_server_started_total", "Calls that have begun.", _LABELS, registry=registry
        )
        self._handled = Counter(
            "grpc_server_handled_total",
            "Calls that have ended, by status code.",
            (*_LABELS, "grpc_code"),
            registry=registry,
        )
        self._received = Counter(
            "grpc_server_msg_received_total",
            "Messages that callers have sent.",
            _LABELS,
            registry=registry,
        )
        self._sent = Counter(
            "grpc_server_msg_sent_total",
            "Messages that callers were sent.",
            _LABELS,
            registry=registry,
        )
        self._seconds = Histogram(
            "grpc_server_handling_seconds",
            "From the beginning of a call to its end, in the server.",
            _LABELS,
            buckets=BUCKETS,
            registry=registry,
        )
        errors = Counter(
            "featom_errors_total",
            "Errors that callers were answered with, in streams too, by reason.",
            ("reason",),
            registry=registry,
        )
        reasons = {meaning.reason for meaning in (*MEANINGS.values(), INTERNAL)}
        self._errors = {reason: errors.labels(reason) for reason in sorted(reasons)}
        self._methods = {
            f"/{service.full_name}/{method.name}": self._series_of(service, method)
            for service in services
            for method in service.methods
        }

    def middleware(self, handler: Handler) -> Handler:
        """See server.rpc.middleware."""
        methods = self._methods
        on_error = self._on_error

        async def metered(call: Call) -> Any:
            method = methods[call.method]
            method.started.inc()
            call.on_error = on_error
            if method.is_stream:
                _count_messages(call, method)
            else:
                method.received.inc()
            began = perf_counter()
            try:
                answer = await handler(call)
                if not method.is_stream:
                    method.sent.inc()
                return answer
            finally:
                method.seconds.observe(perf_counter() - began)
                method.handled[call.code].inc()

        return metered

    def _on_error(self, error: Exception) -> None:
        self._errors[meaning_of(error).reason].inc()

    def _series_of(self, service: ServiceDescriptor, method: MethodDescriptor) -> _Method:
        labels = (_type_of(method), service.full_name, method.name)
        return _Method(
            is_stream=method.client_streaming or method.server_streaming,
            started=self._started.labels(*labels),
            received=self._received.labels(*labels),
            sent=self._sent.labels(*labels),
            seconds=self._seconds.labels(*labels),
            handled={code: self._handled.labels(*labels, name) for code, name in CODES.items()},
        )


def _count_messages(call: Call, method: _Method) -> None:
    received, sent = method.received, method.sent
    stream, write = call.stream, call.write

    async def counted_stream() -> AsyncIterator[bytes]:
        async for message in stream:
            received.inc()
            yield message

    async def counted_write(answer: bytes) -> None:
        await write(answer)
        sent.inc()

    call.stream, call.write = counted_stream(), counted_write


def _type_of(method: MethodDescriptor) -> str:
    match method.client_streaming, method.server_streaming:
        case True, True:
            return "bidi_stream"
        case True, False:
            return "client_stream"
        case False, True:
            return "server_stream"
        case _:
            return "unary"
