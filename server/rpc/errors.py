"""Errors as callers see them: the only place that knows both the domain's tree and status codes.

Each error carries a google.rpc.ErrorInfo (AIP-193) and the details that its kind calls for.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from domain.errors import (
    AggregateExists,
    AggregateNotFound,
    AuthenticationUnavailable,
    CommitUnknown,
    Contended,
    Corrupted,
    DatabaseUnavailable,
    Draining,
    EntityTypeInUse,
    EntityTypeNotFound,
    FeatomError,
    IncompatibleChange,
    InvalidValue,
    LateValue,
    LimitExceeded,
    MessageTooLarge,
    Overloaded,
    PermissionDenied,
    RateExceeded,
    RequestIdReused,
    RuleViolated,
    ServiceNotFound,
    StaleEtag,
    Unauthenticated,
    Unavailable,
)

Detail = TypeVar("Detail", bound=Message)

DOMAIN: Final = "featom.dev"

# Clients refuse trailing metadata of 8 KiB in all, of which base64 takes a quarter and the message
# stands in it twice; so what does not fit is counted, not sent.
_MAX_DETAIL_BYTES: Final = 4_000
_MAX_DESCRIPTION_BYTES: Final = 500
_MAX_MESSAGE_BYTES: Final = 800
_MAX_NAMES_BYTES: Final = 1_000


class Meaning(NamedTuple):
    """What an error is to a caller."""

    code: StatusCode
    reason: str


MEANINGS: Final[Mapping[type[FeatomError], Meaning]] = {
    InvalidValue: Meaning(StatusCode.INVALID_ARGUMENT, "INVALID_VALUE"),
    LimitExceeded: Meaning(StatusCode.INVALID_ARGUMENT, "LIMIT_EXCEEDED"),
    MessageTooLarge: Meaning(StatusCode.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED"),
    RateExceeded: Meaning(StatusCode.RESOURCE_EXHAUSTED, "LIMIT_EXCEEDED"),
    RuleViolated: Meaning(StatusCode.FAILED_PRECONDITION, "RULE_VIOLATED"),
    IncompatibleChange: Meaning(StatusCode.FAILED_PRECONDITION, "INCOMPATIBLE_CHANGE"),
    EntityTypeInUse: Meaning(StatusCode.FAILED_PRECONDITION, "ENTITY_TYPE_IN_USE"),
    LateValue: Meaning(StatusCode.FAILED_PRECONDITION, "LATE_VALUE"),
    StaleEtag: Meaning(StatusCode.ABORTED, "ETAG_MISMATCH"),
    AggregateExists: Meaning(StatusCode.ALREADY_EXISTS, "AGGREGATE_EXISTS"),
    AggregateNotFound: Meaning(StatusCode.NOT_FOUND, "AGGREGATE_NOT_FOUND"),
    EntityTypeNotFound: Meaning(StatusCode.NOT_FOUND, "ENTITY_TYPE_NOT_FOUND"),
    ServiceNotFound: Meaning(StatusCode.NOT_FOUND, "SERVICE_NOT_FOUND"),
    RequestIdReused: Meaning(StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED"),
    Contended: Meaning(StatusCode.UNAVAILABLE, "CONTENDED"),
    Overloaded: Meaning(StatusCode.UNAVAILABLE, "OVERLOADED"),
    Draining: Meaning(StatusCode.UNAVAILABLE, "DRAINING"),
    DatabaseUnavailable: Meaning(StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE"),
    AuthenticationUnavailable: Meaning(StatusCode.UNAVAILABLE, "AUTHENTICATION_UNAVAILABLE"),
    CommitUnknown: Meaning(StatusCode.UNAVAILABLE, "COMMIT_UNKNOWN"),
    Unauthenticated: Meaning(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"),
    PermissionDenied: Meaning(StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"),
    Corrupted: Meaning(StatusCode.INTERNAL, "INTERNAL"),
}

INTERNAL: Final = Meaning(StatusCode.INTERNAL, "INTERNAL")
INTERNAL_MESSAGE: Final = "The server failed; the cause is in its log under the id of this request."


def meaning_of(error: Exception) -> Meaning:
    """What an error is to a caller; INTERNAL if it is none of the domain's."""
    return MEANINGS.get(type(error), INTERNAL) if isinstance(error, FeatomError) else INTERNAL


def to_status(error: Exception, request_id: str) -> tuple[StatusCode, Status]:
    """What the caller is told. The text of an internal error stays here."""
    meaning = meaning_of(error)
    internal = meaning.code is StatusCode.INTERNAL
    status = Status(
        code=meaning.code.value[0],
        message=INTERNAL_MESSAGE if internal else _shortened(str(error), _MAX_MESSAGE_BYTES),
    )
    info = ErrorInfo(reason=meaning.reason, domain=DOMAIN)
    info.metadata.update(_metadata(error))
    if internal:
        info.metadata["request_id"] = request_id
    for detail in (info, *_details(error)):
        status.details.add().Pack(detail)
    return meaning.code, status


def _metadata(error: Exception) -> dict[str, str]:
    match error:
        case StaleEtag() | AggregateExists():
            return {"current_version": str(error.current_version)}
        case LimitExceeded():
            return {"subject": error.subject, "limit": str(error.limit)}
        case InvalidValue() | RuleViolated():
            return {"violations": str(len(error.violations))}
        case IncompatibleChange():
            return {"violating_aggregates": str(error.violating)}
        case LateValue():
            return {
                "features": _shortened(",".join(error.features), _MAX_NAMES_BYTES),
                "violations": str(len(error.violations)),
            }
        case PermissionDenied() if error.refused:
            return {"refused": _shortened(",".join(error.refused), _MAX_NAMES_BYTES)}
        case DatabaseUnavailable() | Corrupted() if error.sqlstate:
            return {"sqlstate": error.sqlstate}
        case _:
            return {}


def _details(error: Exception) -> list[Message]:
    match error:
        case InvalidValue():
            fields = (
                BadRequest.FieldViolation(field=field, description=_described(description))
                for field, description in error.violations
            )
            return [BadRequest(field_violations=_fitting(fields))]
        case RuleViolated() | LateValue() | IncompatibleChange():
            rules = (
                PreconditionFailure.Violation(
                    type=rule_type, subject=subject, description=_described(description)
                )
                for rule_type, subject, description in error.violations
            )
            return [PreconditionFailure(violations=_fitting(rules))]
        case Unavailable() | RateExceeded():
            delay = Duration()
            delay.FromMilliseconds(int(error.retry_after * 1_000))
            return [RetryInfo(retry_delay=delay)]
        case _:
            return []


def _fitting(details: Iterable[Detail]) -> list[Detail]:
    """As many of the details as fit into what a client accepts."""
    fitting, size = [], 0
    for detail in details:
        size += detail.ByteSize() + 4
        if size > _MAX_DETAIL_BYTES:
            break
        fitting.append(detail)
    return fitting


def _described(description: str) -> str:
    return _shortened(description, _MAX_DESCRIPTION_BYTES)


def _shortened(text: str, max_bytes: int) -> str:
    """The beginning of a text that takes so many bytes in a header."""
    size = 0
    for index, character in enumerate(text):
        # grpc percent-encodes each byte of what is not printable ASCII.
        plain = character != "%" and character.isascii() and character.isprintable()
        size += 1 if plain else 3 * len(character.encode())
        if size > max_bytes:
            return text[:index] + "…"
    return text
