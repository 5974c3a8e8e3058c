"""What can go wrong, as one tree:

FeatomError
├── InvalidRequest (ValueError)       mend the request; the same one fails again
│   ├── LimitExceeded                 split it
│   └── RequestIdReused               a new request needs a new id
├── NotFound (KeyError)
│   ├── AggregateNotFound
│   └── EntityTypeNotFound
├── AggregateExists                   there is one, and there must be none
├── EtagMismatch                      read again, decide again
├── Refused                           what is stored, or its entity type, does not allow it
│   ├── RuleViolated
│   ├── LateValue
│   ├── IncompatibleChange
│   └── EntityTypeInUse
├── NotAllowed (PermissionError)
│   ├── Unauthenticated
│   └── PermissionDenied
├── Unavailable (ConnectionError)     was tried again until the time or the attempts were used up
│   ├── Unreachable                   no server answered, or the connection broke
│   ├── CommitUnknown                 may have been applied: send again under the same request id
│   ├── Overloaded, RateLimited, Contended, Draining, DatabaseUnavailable
│   └── AuthenticationUnavailable
├── CallTimeout (TimeoutError)        may have been applied: send again under the same request id
├── ServerError                       look into the server's log under `log_id`
└── ClientClosed (RuntimeError)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

__all__ = [
    "AggregateExists",
    "AggregateNotFound",
    "AuthenticationUnavailable",
    "CallTimeout",
    "ClientClosed",
    "CommitUnknown",
    "Contended",
    "DatabaseUnavailable",
    "Draining",
    "EntityTypeInUse",
    "EntityTypeNotFound",
    "EtagMismatch",
    "FeatomError",
    "IncompatibleChange",
    "InvalidRequest",
    "LateValue",
    "LimitExceeded",
    "NotAllowed",
    "NotFound",
    "Overloaded",
    "PermissionDenied",
    "RateLimited",
    "Refused",
    "RequestIdReused",
    "RuleViolated",
    "ServerError",
    "Unauthenticated",
    "Unavailable",
    "Unreachable",
    "Violation",
]


@dataclass(frozen=True)
class Violation:
    """One thing that is wrong."""

    subject: str
    """The field, the feature or the rule, by name."""
    description: str
    """For people."""
    type: str = ""
    """What sort of constraint it breaks, such as RANGE; empty if the request itself is
    malformed."""


class FeatomError(Exception):
    """Anything that Featom refuses, or that keeps it from answering."""

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        violations: tuple[Violation, ...] = (),
        metadata: Mapping[str, str] = MappingProxyType({}),
        request_id: str = "",
        log_id: str = "",
        retry_delay: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        """The server's name for it, such as RULE_VIOLATED; empty if no server said anything."""
        self.violations = violations
        """All that is wrong with the request, as far as the server lists it."""
        self.metadata = dict(metadata)
        """More about the reason, such as `current_version`; docs/errors.md has the names."""
        self.request_id = request_id
        """Under which a write was sent, and is applied once; empty for reads."""
        self.log_id = log_id
        """Under which the server's log knows the call."""
        self.retry_delay = retry_delay
        """Seconds after which the server would have it sent again; None: it does not say."""

    def __str__(self) -> str:
        return self.message  # not a KeyError's, which would be in quotes

    def __reduce__(self) -> tuple[Any, ...]:
        # With its attributes, also to another process.
        return _restored, (type(self), self.message, self.__dict__)


def _restored(kind: type[FeatomError], message: str, attributes: dict[str, Any]) -> FeatomError:
    error = kind(message)
    error.__dict__.update(attributes)
    return error


class InvalidRequest(FeatomError, ValueError):
    """The request is malformed, or does not fit what is stored; `violations` names all of it."""


def invalid_request(message: str, *violations: Violation) -> InvalidRequest:
    """What the client itself refuses, in the form in which the server does."""
    named = ", ".join(f"{each.subject}: {each.description}" for each in violations)
    return InvalidRequest(
        f"{message}: {named}" if named else message, reason="INVALID_VALUE", violations=violations
    )


class LimitExceeded(InvalidRequest):
    """More than one request, or one aggregate, may have."""


class RequestIdReused(InvalidRequest):
    """The request id is known, with other content."""


class NotFound(FeatomError, KeyError):
    """There is nothing of this name."""


class AggregateNotFound(NotFound):
    """There is no such aggregate, or it has no such past."""


class EntityTypeNotFound(NotFound):
    """There is no entity type of this name."""


class AggregateExists(FeatomError):
    """There is an aggregate already, and the update is for a new one."""


class EtagMismatch(FeatomError):
    """The etag is not that of the current version: read again, decide again."""

    @property
    def current_version(self) -> int | None:
        """The version that is current; 0 if there is no aggregate, None if that is not said."""
        version = self.metadata.get("current_version")
        return None if version is None else int(version)


class Refused(FeatomError):
    """What is stored, or its entity type, does not allow it."""


class RuleViolated(Refused):
    """The update would break the entity type; `violations` names everything that it would break."""


class LateValue(Refused):
    """A value is older than the stored one, and its feature refuses late values."""


class IncompatibleChange(Refused):
    """Stored aggregates break the new definition of the entity type."""


class EntityTypeInUse(Refused):
    """The entity type has aggregates."""


class NotAllowed(FeatomError, PermissionError):
    """The server does not do this for this caller."""


class Unauthenticated(NotAllowed):
    """The server does not know who asks."""


class PermissionDenied(NotAllowed):
    """No grant allows it this caller."""


class Unavailable(FeatomError, ConnectionError):
    """Nobody could do it for now; it was tried again for as long as there was time."""


class Unreachable(Unavailable):
    """No server answered, or the connection broke: a write may have been applied."""


class CommitUnknown(Unavailable):
    """The server lost its database while it wrote: the write may have been applied."""


class Overloaded(Unavailable):
    """More waits than may wait."""


class RateLimited(Unavailable):
    """This caller asks more often than it may."""


class Contended(Unavailable):
    """Others changed the entity first, until the time was up."""


class Draining(Unavailable):
    """The server is stopping."""


class DatabaseUnavailable(Unavailable):
    """The server has no database that it may use."""


class AuthenticationUnavailable(Unavailable):
    """The server can neither believe nor refuse the token for now."""


class CallTimeout(FeatomError, TimeoutError):
    """The time was up: a write may have been applied."""


class ServerError(FeatomError):
    """Something is wrong with the server, or between it and the client."""


class ClientClosed(FeatomError, RuntimeError):
    """The client was closed."""


REASONS: Final[Mapping[str, type[FeatomError]]] = MappingProxyType(
    {
        "INVALID_VALUE": InvalidRequest,
        "LIMIT_EXCEEDED": LimitExceeded,
        "REQUEST_ID_REUSED": RequestIdReused,
        "AGGREGATE_NOT_FOUND": AggregateNotFound,
        "AGGREGATE_EXISTS": AggregateExists,
        "ENTITY_TYPE_NOT_FOUND": EntityTypeNotFound,
        "ETAG_MISMATCH": EtagMismatch,
        "RULE_VIOLATED": RuleViolated,
        "LATE_VALUE": LateValue,
        "INCOMPATIBLE_CHANGE": IncompatibleChange,
        "ENTITY_TYPE_IN_USE": EntityTypeInUse,
        "UNAUTHENTICATED": Unauthenticated,
        "PERMISSION_DENIED": PermissionDenied,
        "COMMIT_UNKNOWN": CommitUnknown,
        "OVERLOADED": Overloaded,
        "CONTENDED": Contended,
        "DRAINING": Draining,
        "DATABASE_UNAVAILABLE": DatabaseUnavailable,
        "AUTHENTICATION_UNAVAILABLE": AuthenticationUnavailable,
        "INTERNAL": ServerError,
    }
)
"""Which error a reason of the server is; tests hold it against docs/errors.md."""
