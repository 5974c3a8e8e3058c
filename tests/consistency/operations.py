"""What clients ask for and what they are told, in the form in which it is recorded."""

from enum import StrEnum
from typing import Final, NamedTuple

ENTITY_TYPE: Final = "consistency"

MARK: Final = "operation"
"""The feature that every update sets to the name of its operation: so that each change tells whose
it is, with or without a request id."""

TOTAL: Final = "total"
"""The feature that every update increments."""


class Kind(StrEnum):
    UPDATE = "update"
    """One part, or several that are made together."""
    DELETE = "delete"
    READ = "read"


class Verdict(StrEnum):
    """What a client knows of its operation."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    """The server said that it changed nothing."""
    UNKNOWN = "unknown"


class Step(NamedTuple):
    """One change to one feature. Whole numbers and texts are all that traffic needs."""

    feature: str
    verb: str
    """The field of featom.v1.FeatureUpdate: set, increment, maximum, append or remove."""
    value: int | str | None = None
    event_time: int | None = None
    """Nanoseconds; None: the commit time."""
    max_length: int = 0
    """Of an append."""


class Part(NamedTuple):
    """What is asked of one aggregate."""

    key: str
    """The entity id."""
    steps: tuple[Step, ...] = ()
    etag: str = ""


class Request(NamedTuple):
    """One operation; a retry of it is the same request again."""

    operation: str
    """Its name, unique in a recording."""
    client: int
    kind: Kind
    parts: tuple[Part, ...]
    request_id: str = ""


class Seen(NamedTuple):
    """A version that an answer tells of."""

    key: str
    version: int
    """0: there was no aggregate."""
    etag: str
    uid: str = ""
    """Empty where the answer does not say."""
    digest: str = ""
    """Of all features, in the answer to a read; see `features.digest`."""


class Answer(NamedTuple):
    """How one attempt ended."""

    verdict: Verdict
    reason: str = ""
    """Of a failure: the reason that the server gave, or else the status code."""
    seen: tuple[Seen, ...] = ()


class Attempt(NamedTuple):
    """One call, as its client saw it. Times are of the monotonic clock, in nanoseconds."""

    request: Request
    invoked: int
    returned: int
    answer: Answer
