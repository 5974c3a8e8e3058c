"""Hypothesis drives an aggregate and the plain model side by side."""

from collections.abc import MutableMapping
from copy import copy
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from domain.aggregate import FeatureAggregate
from domain.change import Change
from domain.errors import AggregateExists, InvalidValue, StaleEtag
from domain.feature import Feature
from domain.update import Deletion, FeatureUpdate
from tests.kit.samples import KEY, UID, update
from tests.kit.strategies import FEW_INSTANTS, SOME_FEATURE_UPDATES
from tests.unit.plain_model import PlainFeature, PlainModel, Refused


class AggregateMachine(RuleBasedStateMachine):
    """Any sequence of updates, deletions and moves of the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.model = PlainModel()
        self.subject = self.new_aggregate(last_commit=0)

    def new_aggregate(self, last_commit: int) -> FeatureAggregate:
        features: MutableMapping[str, Feature] = {}
        return FeatureAggregate(KEY, UID, features, last_commit=last_commit)

    def snapshot(self) -> Any:
        """All that the aggregate is, to be compared."""
        return {name: copy(getattr(self.subject, name)) for name in FeatureAggregate.__slots__}

    def recorded(self, change: Change) -> None:
        """Something was changed."""

    @rule(step=st.integers(-3_000, 5_000))
    def the_clock_moves(self, step: int) -> None:
        self.now = max(0, self.now + step)

    @rule(items=SOME_FEATURE_UPDATES, event_time=st.none() | FEW_INSTANTS, creates=st.booleans())
    def an_update_comes(
        self, items: tuple[FeatureUpdate, ...], event_time: int | None, creates: bool
    ) -> None:
        must_be_absent = creates and not self.subject.exists
        asked = update(*items, event_time=event_time, must_be_absent=must_be_absent)
        before, version = self.snapshot(), self.model.version
        try:
            self.model.apply(asked, self.now)
        except Refused:
            with pytest.raises(InvalidValue):
                self.subject.apply(asked, self.now)
            assert self.snapshot() == before
            return
        change = self.subject.apply(asked, self.now)
        if change is None:
            assert self.snapshot() == before
            assert (self.model.version, self.model.late) == (version, set())
            return
        assert change.version == self.model.version
        assert change.advances == (self.model.version > version)
        assert change.commit_time == self.model.last_commit
        assert set(change.late_features) == self.model.late
        self.recorded(change)

    @precondition(lambda self: self.subject.exists)
    @rule(items=SOME_FEATURE_UPDATES)
    def a_writer_comes_with_a_stale_etag(self, items: tuple[FeatureUpdate, ...]) -> None:
        before = self.snapshot()
        etag = self.subject.etag._replace(version=self.subject.version - 1)
        with pytest.raises((StaleEtag, InvalidValue)):
            self.subject.apply(update(*items, etag=etag), self.now)
        assert self.snapshot() == before

    @precondition(lambda self: self.subject.exists)
    @rule(items=SOME_FEATURE_UPDATES)
    def a_creation_comes_too_late(self, items: tuple[FeatureUpdate, ...]) -> None:
        before = self.snapshot()
        with pytest.raises((AggregateExists, InvalidValue)):
            self.subject.apply(update(*items, must_be_absent=True), self.now)
        assert self.snapshot() == before

    @precondition(lambda self: self.subject.exists)
    @rule()
    def it_is_deleted(self) -> None:
        change = self.subject.delete(Deletion(key=KEY), self.now)
        assert change.version == self.model.version + 1
        assert change.commit_time > self.model.last_commit
        self.recorded(change)
        self.model = PlainModel(change.commit_time)
        self.subject = self.new_aggregate(last_commit=change.commit_time)

    @invariant()
    def the_aggregate_is_as_the_model_says(self) -> None:
        assert self.subject.version == self.model.version
        assert _plain(self.subject) == self.model.features
        versions = {name: feature.version for name, feature in self.subject.features.items()}
        assert versions == self.model.changed_in


def _plain(subject: FeatureAggregate) -> dict[str, PlainFeature]:
    plain = {}
    for name, feature in subject.features.items():
        assert feature.value is not None
        plain[name] = (feature.value.kind, feature.value.content, feature.event_time)
    return plain
