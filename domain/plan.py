"""What an update would do to an aggregate, worked out before anything is written."""

from collections.abc import Container, Iterator, Mapping

from domain.errors import FieldViolation
from domain.feature import Feature, feature_size
from domain.instant import Instant
from domain.operations import OperationRefused
from domain.update import FeatureUpdate, Update
from domain.values import FeatureValue


class Plan:
    """The features that an update would change, remove, or find newer than its own."""

    def __init__(
        self, update: Update, features: Mapping[str, Feature], version: int, commit_time: Instant
    ) -> None:
        """`features` are those of `version`; what has no event time happens at `commit_time`."""
        self.commit_time = commit_time
        self._update = update
        self._features = features
        self._version = version
        self._default_event_time = commit_time if update.event_time is None else update.event_time
        self.changed: dict[str, Feature] = {}
        self.removed: list[str] = []
        self.late: dict[str, Feature] = {}
        self.added = 0
        """How many features are new."""
        self.growth = 0
        """By how many bytes the aggregate grows."""

    @property
    def advances(self) -> bool:
        return bool(self.changed or self.removed)

    @property
    def is_empty(self) -> bool:
        return not (self.changed or self.removed or self.late)

    def violations(self, known: Container[str]) -> Iterator[FieldViolation]:
        """Evaluate every operation; yields what does not fit, unless the field is `known`."""
        for index, item in enumerate(self._update.updates):
            if item.operation is None:
                continue
            current = self._features.get(item.name)
            try:
                value = item.operation.result(current.value if current else None)
            except OperationRefused as refused:
                field = f"updates[{index}].{item.operation.field}"
                if field not in known:
                    yield FieldViolation(field, f"{item.name} {refused}")
            else:
                self._take(item, current, value)

    def _take(
        self, item: FeatureUpdate, current: Feature | None, value: FeatureValue | None
    ) -> None:
        assert item.operation is not None
        event_time = self._default_event_time if item.event_time is None else item.event_time
        if current is None:
            if value is not None:
                self.added += 1
                self._set(item.name, None, value, event_time)
        elif not item.operation.commutes and event_time < current.event_time:
            self.late[item.name] = Feature(item.operation.value, event_time, self._version)
        elif value is None:
            self.removed.append(item.name)
            self.growth -= feature_size(item.name, current)
        else:
            event_time = max(event_time, current.event_time)
            if value != current.value or event_time != current.event_time:
                self._set(item.name, current, value, event_time)

    def _set(
        self, name: str, current: Feature | None, value: FeatureValue, event_time: Instant
    ) -> None:
        feature = Feature(value, event_time, self._version + 1)
        self.changed[name] = feature
        self.growth += feature_size(name, feature)
        if current is not None:
            self.growth -= feature_size(name, current)
