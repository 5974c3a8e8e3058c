"""What clients ask for and what they are told, in the form in which it is recorded."""

from enum import StrEnum
from typing import Final, NamedTuple

ENTITY_TYPE: Final = "consistency"

MARK: Final = "operation"
"""The feature that every update sets to the name of its operation: so that each change tells whose
it is, with or without a request id."""

TOTAL: Final = "total"
"""The feature that every update increments."""

CONSTANT: Final = "constant"
"""A feature that all set to the same value and event time, so that whoever comes later leaves it as
it is."""

ABSENT_FEATURE: Final = "absent"
"""A feature that nobody ever sets."""


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
    must_be_absent: bool = False

    @property
    def leaves_a_mark(self) -> bool:
        """Whether the history tells of it once it is made: a deletion does, and a marked update."""
        return not self.steps or any(step.feature == MARK for step in self.steps)


class Request(NamedTuple):
    """One operation; a retry of it is the same request again."""

    operation: str
    """Its name, unique in a recording."""
    client: int
    kind: Kind
    parts: tuple[Part, ...]
    request_id: str = ""
    validate_only: bool = False
    erase_history: bool = False
    reuses: str = ""
    """The acknowledged operation whose request id this one has, with another payload."""


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
    update_time: int = 0
    """Nanoseconds, in the answer to an update; when it was deleted, in that to a deletion."""
    stale: tuple[str, ...] = ()
    """The features that came too late."""
    replayed: bool = False


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
