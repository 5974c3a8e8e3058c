"""The middleware that tells the audit log of every call that may change something."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from grpc import StatusCode

from domain.errors import FeatomError, Unauthenticated
from featom.v1 import entity_type_service_pb2 as types_pb
from featom.v1 import feature_store_pb2 as pb
from server.access.audit_log import AuditLog
from server.access.permissions import RPCS
from server.rpc.call import Call
from server.rpc.decoding import Decoder
from server.rpc.errors import Meaning, meaning_of
from server.rpc.middleware import Handler, MessageHandler

_OK: Final = Meaning(StatusCode.OK, "")
# The caller did not wait: it may have been applied or not.
_CANCELLED: Final = Meaning(StatusCode.CANCELLED, "OUTCOME_UNKNOWN")

VERSIONS: Final[Mapping[type[Any], Callable[[bytes], Any]]] = {
    pb.UpdateFeaturesRequest: lambda answer: pb.UpdateFeaturesResponse.FromString(answer).version,
    pb.BatchUpdateFeaturesRequest: lambda answer: [
        each.version for each in pb.BatchUpdateFeaturesResponse.FromString(answer).responses
    ],
    pb.DeleteAggregateRequest: lambda answer: pb.DeleteAggregateResponse.FromString(answer).version,
    types_pb.ApplyEntityTypeRequest: lambda answer: (
        types_pb.ApplyEntityTypeResponse.FromString(answer).entity_type.revision
    ),
    types_pb.DeleteEntityTypeRequest: lambda answer: None,
}
"""The version that an answer tells of, by the request; of an entity type, the revision."""


class Auditing:
    """Writes a line when a call has ended, or a message of a stream."""

    def __init__(self, audit_log: AuditLog, decode: Decoder) -> None:
        self._log = audit_log
        self._decode = decode

    def middleware(self, handler: Handler) -> Handler:
        """Around methods; a stream is logged by its messages, or if it is refused as a whole."""

        async def audited(call: Call) -> Any:
            rpc = RPCS.get(call.method)
            if rpc is None or rpc.mutated is None:
                return await handler(call)
            try:
                answer = await handler(call)
            except asyncio.CancelledError:
                if not rpc.by_message:
                    self._write(call, _CANCELLED, self._request_of(call))
                raise
            except Exception as error:
                known = not (rpc.by_message or isinstance(error, Unauthenticated))
                request = self._request_of(call) if known else None
                self._write(call, meaning_of(error), request)
                raise
            if not rpc.by_message:
                self._write(call, _OK, self._request_of(call), VERSIONS[rpc.request](answer))
            return answer

        return audited

    def message_middleware(self, submit: MessageHandler) -> MessageHandler:
        """Around each message of a stream."""

        def audited(call: Call, request: Any) -> "asyncio.Future[Any]":
            def ended(future: "asyncio.Future[Any]") -> None:
                if future.cancelled():
                    self._write(call, _CANCELLED, request)
                elif isinstance(error := future.exception(), Exception):
                    self._write(call, meaning_of(error), request)
                else:
                    self._write(call, _OK, request, future.result().version)

            try:
                future = submit(call, request)
            except FeatomError as error:
                self._write(call, meaning_of(error), request)
                raise
            future.add_done_callback(ended)
            return future

        return audited

    def _request_of(self, call: Call) -> Any:
        try:
            return self._decode(RPCS[call.method].request, call.request)
        except FeatomError:
            return None

    def _write(self, call: Call, meaning: Meaning, request: Any, version: Any = None) -> None:
        entry = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "principal": call.principal,
            "peer": call.context.peer(),
            "request_id": call.request_id,
            "rpc": call.method,
            "entities": [],
            "code": meaning.code.name,
            "reason": meaning.reason,
            "version": version,
        }
        if request is not None:
            mutated = RPCS[call.method].mutated
            entry["entities"] = mutated(request) if mutated else []
            entry |= _details(request)
        self._log.write(entry)


def _details(request: Any) -> dict[str, Any]:
    """What else one needs to know of a request."""
    update = getattr(request, "update", request)
    flags = ("validate_only", "erase_history", "force")
    details: dict[str, Any] = {flag: True for flag in flags if getattr(update, flag, False)}
    if hasattr(request, "sequence"):
        details["sequence"] = request.sequence
    return details
