"""What all aggregates of one type must be like."""

from collections.abc import Mapping
from enum import Enum, auto
from typing import NamedTuple

from msgspec import Struct

from domain.feature_spec import FeatureSpec
from domain.timestamp import Timestamp


class AdditionalFeatures(Enum):
    """What to do with features that an entity type does not specify."""

    ALLOW = auto()
    REJECT = auto()


class Rule(NamedTuple):
    """What must hold between the features of an aggregate after every update."""

    name: str
    expression: str
    message: str
    """What is wrong when it does not hold, for people."""


class EntityType(Struct, frozen=True, gc=False, kw_only=True):
    """One revision of an entity type."""

    name: str
    features: Mapping[str, FeatureSpec] = {}
    rules: tuple[Rule, ...] = ()
    additional_features: AdditionalFeatures = AdditionalFeatures.ALLOW
    revision: int = 0
    """Counts from 1; 0: not applied yet."""
    create_time: Timestamp = 0
    update_time: Timestamp = 0

    @property
    def expiring(self) -> dict[str, FeatureSpec]:
        """The specifications that have a ttl."""
        return {name: spec for name, spec in self.features.items() if spec.ttl}
