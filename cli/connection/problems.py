"""What a failed call means for whoever typed the command: in words, with what to do next."""

from typing import Final

from featom_client import (
    AggregateExists,
    AggregateNotFound,
    CallTimeout,
    CommitUnknown,
    EntityTypeInUse,
    EntityTypeNotFound,
    EtagMismatch,
    FeatomError,
    IncompatibleChange,
    InvalidRequest,
    NotAllowed,
    NotFound,
    PermissionDenied,
    Refused,
    RequestIdReused,
    RuleViolated,
    Unauthenticated,
    Unavailable,
    Unreachable,
)

from cli import exits
from cli.connection.endpoint import Endpoint

_CODES: Final[tuple[tuple[type[FeatomError], int], ...]] = (
    (NotFound, exits.NOT_FOUND),
    (AggregateExists, exits.CONFLICT),
    (EtagMismatch, exits.CONFLICT),
    (RequestIdReused, exits.CONFLICT),
    (Refused, exits.REFUSED),
    (NotAllowed, exits.NOT_ALLOWED),
    (InvalidRequest, exits.USAGE),
    (Unavailable, exits.UNAVAILABLE),
    (CallTimeout, exits.UNAVAILABLE),
    (FeatomError, exits.SERVER_ERROR),
)
"""The first that fits."""

_NEXT: Final[tuple[tuple[type[FeatomError], str], ...]] = (
    (AggregateNotFound, "`featom list TYPE` shows which there are."),
    (EntityTypeNotFound, "`featom types list` shows which there are."),
    (AggregateExists, "To change what is there leave out --must-be-absent."),
    (
        EtagMismatch,
        "Read it again (`featom get`), decide again, and give the etag that it has now.",
    ),
    (RequestIdReused, "A new change needs a new request id, or none."),
    (RuleViolated, "`featom get-type TYPE` shows what it must be like."),
    (IncompatibleChange, "`featom check TYPE -f FILE` shows which aggregates break it."),
    (EntityTypeInUse, "To delete it all the same give --force; the aggregates stay."),
    (Unauthenticated, "There is no --token-file: give one, with a token that the server accepts."),
    (PermissionDenied, "The server's authorization file has to grant it: docs/security.md."),
    (Unreachable, "`featom doctor` finds out what is in the way."),
    (CallTimeout, "Wait longer with --timeout; `featom doctor` finds out what is in the way."),
    (Unavailable, "Try again in a moment; `featom doctor` finds out what is wrong."),
)
"""The first that fits."""
_IN_DOUBT: Final = (CallTimeout, Unreachable, CommitUnknown)


def code_of(error: FeatomError) -> int:
    """The exit code."""
    return next(code for kind, code in _CODES if isinstance(error, kind))


def described(error: FeatomError, endpoint: Endpoint, request_id: str = "") -> str:
    """What went wrong, all of it, and what to do about it: a line each.

    `request_id`: with which the command can be run again.
    """
    problem = _unreachable(error, endpoint) if isinstance(error, Unreachable) else None
    if problem:
        return f"{endpoint.target}: {problem}"
    lines = [_headline(error, endpoint), *_listed(error)]
    lines += (f"  {advice}" for advice in _advice(error, endpoint))
    if request_id and isinstance(error, _IN_DOUBT):
        lines.append(f"  {in_doubt(request_id)}")
    return "\n".join(lines)


def in_doubt(request_id: str) -> str:
    """What to do about a write that may have been applied or not."""
    return (
        "It may have been applied. To be sure run the same again with"
        f" --request-id {request_id}: it is applied once."
    )


def _unreachable(error: FeatomError, endpoint: Endpoint) -> str | None:
    # Not needed before something fails.
    from cli.connection.handshake import what_tls_says

    return None if error.reason else what_tls_says(endpoint)


def _headline(error: FeatomError, endpoint: Endpoint) -> str:
    if isinstance(error, CallTimeout) and not error.reason:
        return f"{endpoint.target} has not answered within {endpoint.timeout:g} s"
    if isinstance(error, Unreachable) and not error.reason:
        return f"{endpoint.target} cannot be reached: {error.message}"
    # The message lists the violations too, in one line and cut where it is too long.
    said = error.message.partition(":")[0] if error.violations else error.message
    return f"{error.reason}: {said}" if error.reason else said


def _listed(error: FeatomError) -> list[str]:
    lines = []
    for each in error.violations:
        indented = each.description.replace("\n", "\n    ")
        lines.append(f"  {each.subject}: {indented}")
    more = int(error.metadata.get("violations", 0)) - len(lines)
    return [*lines, f"  … and {more:,} more"] if more > 0 else lines


def _advice(error: FeatomError, endpoint: Endpoint) -> list[str]:
    advice = [text for kind, text in _NEXT if isinstance(error, kind)][:1]
    if isinstance(error, Unauthenticated) and endpoint.token_file is not None:
        advice = [f"The token of {endpoint.token_file} is not accepted; `featom doctor` reads it."]
    if code_of(error) == exits.SERVER_ERROR and error.log_id:
        advice.append(f"The server's log tells more, under {error.log_id}.")
    return advice
