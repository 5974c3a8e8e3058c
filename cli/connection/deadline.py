"""A bound for each call of a command: no server holds it up for good."""

from collections.abc import Callable
from typing import Any

import grpc


class Deadline(grpc.UnaryUnaryClientInterceptor):
    """Gives each call so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        return continuation(_WithTimeout(client_call_details, self._seconds), request)


class _WithTimeout(grpc.ClientCallDetails):
    """The same call, with a time-out."""

    def __init__(self, details: Any, seconds: float) -> None:
        self.method = details.method
        self.timeout = seconds
        self.metadata = details.metadata
        self.credentials = details.credentials
        self.wait_for_ready = details.wait_for_ready
        self.compression = details.compression
