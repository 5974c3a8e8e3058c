"""What an update would do to an aggregate, worked out before anything is written."""

from collections.abc import Container, Iterator, Mapping
from typing import Final

from domain.errors import FieldViolation
from domain.feature import Feature, feature_size
from domain.feature_spec import FeatureSpec, LatePolicy
from domain.instant import EARLIEST, Instant
from domain.operations import Operation, OperationRefused, SetValue
from domain.update import FeatureUpdate, Update
from domain.values import FeatureValue, same_value

NO_SPECS: Final[Mapping[str, FeatureSpec]] = {}


class Plan:
    """The features that an update would change, remove, or find newer than its own."""

    def __init__(
        self,
        update: Update,
        features: Mapping[str, Feature],
        version: int,
        commit_time: Instant,
        specs: Mapping[str, FeatureSpec] = NO_SPECS,
    ) -> None:
        """`features` are those of `version`; what has no event time happens at `commit_time`."""
        self.commit_time = commit_time
        self._update = update
        self._features = features
        self._version = version
        self._specs = specs
        self._default_event_time = commit_time if update.event_time is None else update.event_time
        self.changed: dict[str, Feature] = {}
        self.removed: list[str] = []
        self.late: dict[str, Feature] = {}
        self.refused: list[str] = []
        """Features with a late value, where those are refused."""
        self.added = 0
        """How many features are new."""
        self.growth = 0
        """By how many bytes the aggregate grows."""

    @property
    def advances(self) -> bool:
        return bool(self.changed or self.removed)

    @property
    def is_empty(self) -> bool:
        return not (self.changed or self.removed or self.late or self.refused)

    def violations(self, known: Container[str]) -> Iterator[FieldViolation]:
        """Evaluate every operation; yields what does not fit, unless the field is `known`."""
        for index, item in enumerate(self._update.updates):
            if item.operation is None:
                continue
            current = self._features.get(item.name)
            spec = self._specs.get(item.name)
            try:
                value = self._result(item.operation, current, spec)
            except OperationRefused as refused:
                field = f"updates[{index}].{item.operation.field}"
                if field not in known:
                    yield FieldViolation(field, f"{item.name} {refused}")
            else:
                self._take(item, current, value, spec)

    def complete(self, defaults: Mapping[str, FeatureValue]) -> None:
        """Give the features that would be missing their defaults, if anything changes at all."""
        if not self.advances:
            return
        for name, value in defaults.items():
            if name in self.changed:
                continue
            if name in self.removed:
                self.removed.remove(name)
                self._set(name, None, value, EARLIEST)
            elif name not in self._features:
                self.added += 1
                self._set(name, None, value, EARLIEST)

    def _result(
        self, operation: Operation, current: Feature | None, spec: FeatureSpec | None
    ) -> FeatureValue | None:
        """The new value of a feature, of the kind that it is declared to have."""
        if spec is None:
            return operation.result(current.value if current else None)
        # A set may bring the kind that is declared now, whatever was stored.
        base = None if isinstance(operation, SetValue) else self._base(current, spec)
        value = operation.result(base)
        if value is not None and value.kind is not spec.kind:
            raise OperationRefused(f"is {value.kind.value}, must be {spec.kind.value}")
        return value

    def _base(self, current: Feature | None, spec: FeatureSpec) -> FeatureValue | None:
        """What an operation begins with."""
        if current is None or spec.is_expired(current, self.commit_time):
            return spec.default_value
        return current.value

    def _take(
        self,
        item: FeatureUpdate,
        current: Feature | None,
        value: FeatureValue | None,
        spec: FeatureSpec | None,
    ) -> None:
        assert item.operation is not None
        event_time = self._default_event_time if item.event_time is None else item.event_time
        if current is None:
            if value is not None:
                self.added += 1
                self._set(item.name, None, value, event_time)
        elif self._is_late(item.operation, event_time, current, spec):
            if spec is not None and spec.late_policy is LatePolicy.REJECT:
                self.refused.append(item.name)
            else:
                self.late[item.name] = Feature(item.operation.value, event_time, self._version)
        elif value is None:
            self.removed.append(item.name)
            self.growth -= feature_size(item.name, current)
        else:
            if item.operation.commutes:
                event_time = max(event_time, current.event_time)
            assert current.value is not None
            if event_time != current.event_time or not same_value(value, current.value):
                self._set(item.name, current, value, event_time)

    def _is_late(
        self, operation: Operation, event_time: Instant, current: Feature, spec: FeatureSpec | None
    ) -> bool:
        if operation.commutes or event_time >= current.event_time:
            return False
        return spec is None or spec.late_policy is not LatePolicy.APPLY

    def _set(
        self, name: str, current: Feature | None, value: FeatureValue, event_time: Instant
    ) -> None:
        feature = Feature(value, event_time, self._version + 1)
        self.changed[name] = feature
        self.growth += feature_size(name, feature)
        if current is not None:
            self.growth -= feature_size(name, current)
