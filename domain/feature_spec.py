"""What an entity type says of one feature."""

from enum import Enum, auto

from msgspec import Struct

from domain.timestamp import Timestamp
from domain.values import ELEMENT_KINDS, FeatureValue, ValueKind


class LatePolicy(Enum):
    """What to do with a value whose event time is older than the stored one's."""

    KEEP_NEWEST = auto()
    APPLY = auto()
    REJECT = auto()


class FeatureSpec(Struct, frozen=True, gc=False, kw_only=True):
    """The constraints of one feature; see spec_violations for which make sense together."""

    kind: ValueKind
    required: bool = False
    default_value: FeatureValue | None = None
    """What a write gives to the feature where it is missing."""
    minimum: FeatureValue | None = None
    maximum: FeatureValue | None = None
    """Bounds of the value, or of each element."""
    allowed_values: tuple[FeatureValue, ...] = ()
    """Empty: all. Of the value, or of each element."""
    max_length: int = 0
    """Code points, bytes or elements; 0: no limit."""
    pattern: str = ""
    """What a text, or each text of a list, must match as a whole."""
    dimension: int = 0
    """Components of a vector; 0: any number."""
    allow_non_finite: bool = False
    late_policy: LatePolicy = LatePolicy.KEEP_NEWEST
    ttl: int = 0
    """Nanoseconds after the event time for which the value is current; 0: without end."""
    description: str = ""

    @property
    def element_kind(self) -> ValueKind:
        """What bounds and allowed values are of."""
        if self.kind is ValueKind.FLOAT_VECTOR:
            return ValueKind.DOUBLE
        return ELEMENT_KINDS.get(self.kind, self.kind)

    def is_expired(self, event_time: Timestamp, now: Timestamp) -> bool:
        """Whether a value of that time is no longer current."""
        return self.ttl > 0 and event_time + self.ttl <= now
