"""Requests as messages."""

from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from domain.errors import FieldViolation, InvalidValue, MessageTooLarge
from server.rpc.call import current_call

Request = TypeVar("Request", bound=Message)


class Decoder:
    """Parses requests up to a size.

    grpc itself would answer a request that does not parse with INTERNAL, and one that is too large
    without saying why in its details.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes

    def __call__(self, message: type[Request], data: bytes) -> Request:
        """Parse a message. Raises MessageTooLarge or InvalidValue."""
        if len(data) > self._max_bytes:
            raise MessageTooLarge("bytes in a message", self._max_bytes, len(data))
        try:
            return message.FromString(data)
        except DecodeError as error:
            description = f"is not a {message.DESCRIPTOR.full_name}: {error}"
            raise InvalidValue([FieldViolation("", description)]) from error


class RememberingDecoder(Decoder):
    """Parses a request once for all who look at it: the middleware before the handler, the handler,
    and the audit log when the call has ended.

    Of a stream the last message is remembered; middleware looks at it just before the handler.
    """

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes)
        self._last: tuple[bytes, Message] | None = None

    def __call__(self, message: type[Request], data: bytes) -> Request:
        call = current_call.get()
        if call is None or call.request is not data:
            return self._of_stream(message, data)
        if isinstance(call.message, message):
            return call.message
        decoded = super().__call__(message, data)
        call.message = decoded
        return decoded

    def _of_stream(self, message: type[Request], data: bytes) -> Request:
        if self._last is not None:
            known, parsed = self._last
            if known is data and isinstance(parsed, message):
                return parsed
        decoded = super().__call__(message, data)
        self._last = data, decoded
        return decoded
