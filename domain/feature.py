"""One feature as it stands in one version of its aggregate."""

from msgspec import Struct

from domain.timestamp import Timestamp
from domain.values import FeatureValue, value_size

# Name and value stand in a map entry: tags, lengths, an event time and a version beside them.
_FRAME = 64


class Feature(Struct, frozen=True, gc=False):
    """A value, when it happened, and the version that last changed it."""

    value: FeatureValue | None
    """None only in a change, for a removal that came too late."""
    event_time: Timestamp
    version: int


def feature_size(name: str, feature: Feature) -> int:
    """An upper bound of the bytes that a feature takes in the stored form."""
    return _FRAME + len(name) + (value_size(feature.value) if feature.value else 0)
