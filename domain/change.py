"""What one committed update did to one aggregate."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from msgspec import Struct

from domain.entity_key import EntityKey
from domain.feature import Feature
from domain.operations import Append, Increment, Maximum, Minimum, Remove
from domain.timestamp import Timestamp
from domain.values import FeatureValue


class Operand(Struct, frozen=True, gc=False):
    """What an update asked for, where its result does not tell."""

    operation: Increment | Maximum | Minimum | Append | Remove
    event_time: Timestamp
    """Its own, which may be older than that of the feature."""
    default: FeatureValue | None = None
    """What the operation begins with where nothing was before it."""


class Change(Struct, frozen=True, gc=False):
    """One step in the history of an aggregate."""

    key: EntityKey
    uid: UUID
    version: int
    """The version that the change made, or left as it was if it does not advance it."""
    commit_time: Timestamp
    features: Mapping[str, Feature]
    """The features that changed, as they stand after the change."""
    late_features: Mapping[str, Feature]
    """Values that came after newer ones and did not replace them."""
    late_appends: Sequence[str] = ()
    """Of these the features to whose lists they were to be appended."""
    removed: Sequence[str] = ()
    operands: Mapping[str, Operand] = {}
    """For each increment, maximum, minimum and append, those without effect that came late
    included, and for each removal that was in time. What has none was set, also by an operation
    that found its feature expired."""
    deleted: bool = False
    request_id: UUID | None = None
    actor: str = ""
    entity_type_revision: int = 0
    """The revision that the change was checked against; 0: it had no entity type."""

    @property
    def advances(self) -> bool:
        """Whether the change made a new version."""
        return bool(self.features or self.removed or self.deleted)
