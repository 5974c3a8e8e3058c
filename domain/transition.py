"""An update as rules see it: the aggregate before and after, and what changed."""

import math
from collections.abc import Collection, Mapping

from domain.feature import Feature
from domain.feature_spec import FeatureSpec
from domain.timestamp import Timestamp
from domain.values import FeatureValue


class Transition:
    """One step of an aggregate. A feature that has expired at its time is missing."""

    def __init__(
        self,
        entity_id: str,
        before: Mapping[str, Feature],
        now: Timestamp,
        changed: Mapping[str, Feature],
        removed: Collection[str],
        expiring: Mapping[str, FeatureSpec],
        size: float = math.inf,
    ) -> None:
        """`expiring` are the specifications that have a ttl; `size` is what all that there was and
        is takes in bytes at most, if that is known."""
        self.entity_id = entity_id
        self.now = now
        self.size = size
        self._before = before
        self._changed = changed
        self._removed = removed
        self._expiring = expiring
        self.changed = [*changed, *removed]
        """The names of the features that are set or removed."""

    def before(self, name: str) -> FeatureValue | None:
        return self._current(name, self._before.get(name))

    def after(self, name: str) -> FeatureValue | None:
        feature = self._changed.get(name)
        if feature is None and name not in self._removed:
            feature = self._before.get(name)
        return self._current(name, feature)

    def names_before(self) -> Collection[str]:
        """All names; those of expired features too."""
        return self._before.keys()

    def names_after(self) -> Collection[str]:
        """All names; those of expired features too."""
        return self._before.keys() - set(self._removed) | self._changed.keys()

    def _current(self, name: str, feature: Feature | None) -> FeatureValue | None:
        if feature is None:
            return None
        if self._expiring:
            spec = self._expiring.get(name)
            if spec is not None and spec.is_expired(feature.event_time, self.now):
                return None
        return feature.value
