"""What an update would do to an aggregate, worked out before anything is written."""

from collections.abc import Container, Mapping

from domain.change import Operand
from domain.errors import FieldViolation
from domain.feature import Feature, feature_size
from domain.feature_spec import FeatureSpec, LatePolicy
from domain.operations import Append, Increment, Operation, OperationRefused, SetValue
from domain.timestamp import EARLIEST, Timestamp
from domain.update import Update, of_feature
from domain.values import FeatureValue, same_value, size_difference


class Plan:
    """The features that an update would change, remove, or find newer than its own."""

    def __init__(
        self,
        update: Update,
        features: Mapping[str, Feature],
        version: int,
        commit_time: Timestamp,
        specs: Mapping[str, FeatureSpec],
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
        self.late_appends: list[str] = []
        """Of these the features to whose lists they were to be appended."""
        self.operands: dict[str, Operand] = {}
        """See domain.change.Change."""
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
        return not (self.changed or self.removed or self.late or self.operands or self.refused)

    def violations(self, known: Container[str]) -> list[FieldViolation]:
        """Evaluate every operation; returns what does not fit, unless the field is `known`."""
        features, specs = self._features, self._specs
        violations = []
        for index, item in enumerate(self._update.updates):
            operation = item.operation
            if operation is None:
                continue
            name = item.name
            current = features.get(name)
            spec = specs.get(name)
            try:
                if spec is None:
                    value = operation.result(current.value if current else None)
                else:
                    value = self._declared_result(operation, current, spec)
            except OperationRefused as refused:
                field = f"updates[{index}].{operation.field}"
                if field not in known:
                    violations.append(FieldViolation(field, of_feature(name, str(refused))))
            else:
                event_time = (
                    self._default_event_time if item.event_time is None else item.event_time
                )
                self._take(name, operation, event_time, current, value, spec)
        return violations

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

    def _declared_result(
        self, operation: Operation, current: Feature | None, spec: FeatureSpec
    ) -> FeatureValue | None:
        """The new value of a feature, of the kind that it is declared to have."""
        # A set may bring the kind that is declared now, whatever was stored.
        base = None if isinstance(operation, SetValue) else self._base(current, spec)
        value = operation.result(base)
        if value is not None and value.kind is not spec.kind:
            raise OperationRefused(f"is {value.kind.value}, must be {spec.kind.value}")
        return value

    def _base(self, current: Feature | None, spec: FeatureSpec) -> FeatureValue | None:
        """What an operation begins with."""
        if current is None or spec.is_expired(current.event_time, self.commit_time):
            return spec.default_value
        return current.value

    def _take(
        self,
        name: str,
        operation: Operation,
        event_time: Timestamp,
        current: Feature | None,
        value: FeatureValue | None,
        spec: FeatureSpec | None,
    ) -> None:
        if current is None:
            if value is not None:
                self.added += 1
                self._set(name, None, value, event_time)
                self._keep(name, operation, event_time, current, spec)
        elif event_time < current.event_time and self._is_late(operation, spec):
            if spec is not None and spec.late_policy is LatePolicy.REJECT:
                self.refused.append(name)
            else:
                self.late[name] = Feature(operation.value, event_time, self._version)
                if isinstance(operation, Append):
                    self.late_appends.append(name)
                    self._keep(name, operation, event_time, current, spec)
        elif value is None:
            self.removed.append(name)
            self.growth -= feature_size(name, current)
            self._keep(name, operation, event_time, current, spec)
        else:
            newest = max(event_time, current.event_time) if operation.commutes else event_time
            assert current.value is not None
            changes = newest != current.event_time or not same_value(value, current.value)
            if changes:
                self._set(name, current, value, newest, operation)
                # Only in this order of arrival does it begin anew: so it counts as a set.
                if spec is None or not spec.is_expired(current.event_time, self.commit_time):
                    self._keep(name, operation, event_time, current, spec)
            elif not _says_nothing(operation, event_time, current):
                # What has no effect now, such as a lower maximum, has one as of its own time.
                self._keep(name, operation, event_time, current, spec)

    def _keep(
        self,
        name: str,
        operation: Operation,
        event_time: Timestamp,
        current: Feature | None,
        spec: FeatureSpec | None,
    ) -> None:
        """Record what was asked for, where the result does not tell."""
        if isinstance(operation, SetValue):
            return
        default = None
        if spec is not None and (current is None or event_time < current.event_time):
            default = spec.default_value
        self.operands[name] = Operand(operation, event_time, default)

    def _is_late(self, operation: Operation, spec: FeatureSpec | None) -> bool:
        """Whether a value that is older than the stored one comes too late."""
        if operation.commutes:
            return False
        return spec is None or spec.late_policy is not LatePolicy.APPLY

    def _set(
        self,
        name: str,
        current: Feature | None,
        value: FeatureValue,
        event_time: Timestamp,
        operation: Operation | None = None,
    ) -> None:
        feature = Feature(value, event_time, self._version + 1)
        self.changed[name] = feature
        if current is None:
            self.growth += feature_size(name, feature)
            return
        assert current.value is not None
        if isinstance(operation, Append):
            self.growth += operation.growth(value, current.value)
        else:
            self.growth += size_difference(value, current.value)


def _says_nothing(operation: Operation, event_time: Timestamp, current: Feature) -> bool:
    """Whether an operation without effect has none as of any time: what is there comes again."""
    if isinstance(operation, Increment):
        return bool(operation.value.content == 0)
    value, stored = operation.value, current.value
    assert value is not None
    assert stored is not None
    return event_time == current.event_time and same_value(value, stored)
