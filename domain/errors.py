"""Everything that Featom refuses or cannot do, without status codes.

    FeatomError
    ├── InvalidValue            the request itself is wrong, whatever is stored
    ├── LimitExceeded           more than the store takes
    │   ├── MessageTooLarge     in bytes, whatever it says
    │   └── RateExceeded        more calls than one principal may make
    ├── RuleViolated            the update would break a rule of the entity type
    ├── IncompatibleChange      stored aggregates would break the entity type
    ├── EntityTypeInUse         there are aggregates of it
    ├── LateValue               too late, where the entity type refuses late values
    ├── StaleEtag               the aggregate is no longer what the caller read
    ├── AggregateExists         the aggregate is there, where it must not be
    ├── NotFound
    │   ├── AggregateNotFound
    │   ├── EntityTypeNotFound
    │   └── ServiceNotFound
    ├── RequestIdReused         the id of another request
    ├── Unavailable             try again, after `retry_after`
    │   ├── Contended           other writers were faster until the time was up
    │   ├── Overloaded          more work is waiting than may wait
    │   ├── Draining            this server is stopping, or a stream has lasted long enough
    │   ├── DatabaseUnavailable
    │   ├── AuthenticationUnavailable
    │   └── CommitUnknown       committed or not: the connection broke in between
    ├── AccessRefused
    │   ├── Unauthenticated
    │   └── PermissionDenied
    └── Corrupted               stored data that cannot be what was written

The docstring of an error is its message where no better one is given.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

_MOST_LISTED: Final = 5


class FieldViolation(NamedTuple):
    """One thing that is wrong with one field of a request."""

    field: str
    """The path from the request, such as `updates[3].set`."""
    description: str
    """What is wrong with it, for people."""


class RuleViolation(NamedTuple):
    """One rule that an update would break."""

    type: str
    """What sort of rule: RULE, RANGE, REQUIRED, ALLOWED_VALUES, PATTERN, LATE_VALUE, …"""
    subject: str
    """The feature or the rule, by name."""
    description: str
    """What is wrong, for people."""


class FeatomError(Exception):
    """Featom could not do what was asked."""

    place = ""
    """The path to the part of the request that is to blame, if it is only a part."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").partition("\n")[0])

    def __str__(self) -> str:
        message = super().__str__()
        return f"{self.place}: {message}" if self.place else message


class InvalidValue(FeatomError):
    """The request is not valid."""

    def __init__(self, violations: Sequence[FieldViolation]) -> None:
        listed = "; ".join(
            f"{field}: {description}" if field else description for field, description in violations
        )
        super().__init__(f"The request is not valid: {listed}.")
        self.violations = tuple(violations)


class LimitExceeded(FeatomError):
    """The request is over a limit."""

    def __init__(self, subject: str, limit: int, actual: int | None = None) -> None:
        got = "" if actual is None else f", this would be {actual:,}"
        super().__init__(f"At most {limit:,} {subject} are allowed{got}.")
        self.subject = subject
        self.limit = limit


class MessageTooLarge(LimitExceeded):
    """The message is larger than the server takes."""


class RateExceeded(LimitExceeded):
    """The caller makes more calls than it may."""

    def __init__(self, calls_a_second: int, retry_after: float) -> None:
        super().__init__("calls a second", calls_a_second)
        self.retry_after = retry_after
        """Seconds after which the next call is let through."""


class RuleViolated(FeatomError):
    """The update would break a rule."""

    def __init__(self, violations: Sequence[RuleViolation]) -> None:
        listed = "; ".join(
            f"{violation.subject}: {violation.description}" for violation in violations
        )
        super().__init__(f"The update would break a rule: {listed}.")
        self.violations = tuple(violations)


class IncompatibleChange(FeatomError):
    """Stored aggregates would break the entity type."""

    def __init__(
        self,
        violating: int,
        differences: Sequence[RuleViolation],
        broken: Mapping[str, int] | None = None,
    ) -> None:
        """`broken` is how many of them break what: a feature or a rule, by name."""
        counts = sorted((broken or {}).items(), key=lambda each: (-each[1], each[0]))
        listed = "".join(f", {name} in {count:,}" for name, count in counts[:_MOST_LISTED])
        more = f" and {len(counts) - _MOST_LISTED:,} more" if len(counts) > _MOST_LISTED else ""
        super().__init__(
            f"{violating:,} stored aggregates would break the entity type{listed}{more}."
            " `featom check TYPE -f FILE` names them, `featom apply --accept-existing`"
            " (INCOMPATIBLE_CHANGE_ACCEPT_EXISTING) applies it all the same."
        )
        self.violating = violating
        self.violations = tuple(differences)
        """What makes it incompatible."""


class EntityTypeInUse(FeatomError):
    """There are aggregates of this entity type; it can only be deleted by force."""


class LateValue(FeatomError):
    """A value came too late, and the entity type refuses late values."""

    def __init__(self, features: Sequence[str]) -> None:
        super().__init__(f"Too late, and late values are refused: {', '.join(features)}.")
        self.features = tuple(features)

    @property
    def violations(self) -> tuple[RuleViolation, ...]:
        """The same as violations, to stand beside others."""
        description = "is late, and late values are refused"
        return tuple(RuleViolation("LATE_VALUE", name, description) for name in self.features)


class StaleEtag(FeatomError):
    """The aggregate has changed since it was read; read it again and decide again."""

    def __init__(self, current_version: int) -> None:
        super().__init__()
        self.current_version = current_version


class AggregateExists(FeatomError):
    """There already is an aggregate with this key, and the update asks that there is none."""

    def __init__(self, current_version: int) -> None:
        super().__init__()
        self.current_version = current_version


class NotFound(FeatomError):
    """There is no such thing."""


class AggregateNotFound(NotFound):
    """There is no aggregate with this key, or it has no such past."""


class EntityTypeNotFound(NotFound):
    """There is no entity type with this name."""


class ServiceNotFound(NotFound):
    """This server has no service with this name."""


class RequestIdReused(FeatomError):
    """The request_id was used before, for a request with other content."""


class Unavailable(FeatomError):
    """The store cannot take the request now."""

    retry_after = 0.1
    """Seconds after which another try makes sense."""


class Contended(Unavailable):
    """Other writers changed the aggregate first, again and again, until the time was up."""


class Overloaded(Unavailable):
    """More requests are waiting than may wait."""


class Draining(Unavailable):
    """This server is stopping; another one will take the request."""


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached, or does not answer in time."""

    retry_after = 1.0

    def __init__(self, why: str = "", sqlstate: str = "") -> None:
        """`why` it cannot work is for people; `sqlstate` is its own name for that, if any."""
        code = f" (SQLSTATE {sqlstate})" if sqlstate else ""
        super().__init__(f"The database cannot work now: {why}{code}." if why else "")
        self.sqlstate = sqlstate


class AuthenticationUnavailable(Unavailable):
    """The keys of the issuer of tokens are not known, so no caller can be authenticated."""

    retry_after = 1.0


class CommitUnknown(Unavailable):
    """The connection broke during the commit: retry only with a request_id, or read first."""

    retry_after = 1.0


class AccessRefused(FeatomError):
    """The caller may not do this."""


class Unauthenticated(AccessRefused):
    """The caller did not prove who it is."""


class PermissionDenied(AccessRefused):
    """The caller is known, and not allowed to do this."""

    def __init__(self, refused: Sequence[str] = ()) -> None:
        super().__init__(f"You are not allowed to: {', '.join(refused)}." if refused else "")
        self.refused = tuple(refused)
        """Everything that is not allowed, such as `write card`."""


class Corrupted(FeatomError):
    """Stored data cannot be what was written."""

    def __init__(self, message: str = "", sqlstate: str = "") -> None:
        """`sqlstate` is the database's name for what it refused, if it did."""
        super().__init__(message)
        self.sqlstate = sqlstate
