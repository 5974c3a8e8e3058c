"""The stored form of an aggregate, and the view that the domain works on."""

from copy import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from codec.features import StoredFeatures
from codec.state import dump_aggregate, load_aggregate, new_aggregate
from domain.aggregate import FeatureAggregate
from domain.errors import Corrupted
from domain.feature import Feature
from domain.limits import Limits
from featom.stored.v1 import stored_pb2
from featom.v1 import aggregate_pb2
from tests.kit.samples import KEY, NOW, UID, put, remove, update
from tests.kit.strategies import ANY_FEATURE, FEW_NAMES
from tests.unit.aggregate_machine import AggregateMachine


class StoredFeaturesMachine(RuleBasedStateMachine):
    """A view over a message beside a plain dict."""

    def __init__(self) -> None:
        super().__init__()
        self.view = StoredFeatures(stored_pb2.StoredAggregate())
        self.plain: dict[str, Feature] = {}

    @rule(name=FEW_NAMES, feature=ANY_FEATURE)
    def set(self, name: str, feature: Feature) -> None:
        self.view[name] = self.plain[name] = feature

    @rule(name=FEW_NAMES)
    def delete(self, name: str) -> None:
        if name in self.plain:
            del self.view[name], self.plain[name]
        else:
            with pytest.raises(KeyError):
                del self.view[name]

    @rule(name=FEW_NAMES)
    def get(self, name: str) -> None:
        assert self.view.get(name) == self.plain.get(name)
        assert self.view.get(name, "default") == self.plain.get(name, "default")
        assert (name in self.view) == (name in self.plain)
        if name not in self.plain:
            with pytest.raises(KeyError):
                self.view[name]

    @rule(name=FEW_NAMES, feature=ANY_FEATURE)
    def a_copy_is_changed(self, name: str, feature: Feature) -> None:
        twin = copy(self.view)
        assert dict(twin) == self.plain
        twin[name] = feature
        twin.pop(next(iter(twin)))

    @invariant()
    def the_view_is_as_the_dict(self) -> None:
        assert dict(self.view) == self.plain
        assert len(self.view) == len(self.plain)
        assert set(self.view) == set(self.plain)


TestTheViewBehavesAsADict = StoredFeaturesMachine.TestCase
TestTheViewBehavesAsADict.settings = settings(max_examples=50, stateful_step_count=20)


class StoredAggregateMachine(AggregateMachine):
    """An aggregate that is stored and loaded again between updates."""

    def new_aggregate(self, last_commit: int) -> FeatureAggregate:
        return new_aggregate(KEY, UID, 1, last_commit=last_commit)

    def snapshot(self) -> Any:
        features = self.subject.features
        assert isinstance(features, StoredFeatures)
        times = self.subject.version, self.subject.create_time, self.subject.update_time
        return *times, features.message.SerializeToString(deterministic=True)

    @precondition(lambda self: self.subject.exists)
    @rule()
    def it_is_stored_and_loaded(self) -> None:
        loaded = load_aggregate(KEY, UID, 1, dump_aggregate(self.subject))
        for part in ("key", "uid", "epoch", "version", "create_time", "update_time"):
            assert getattr(loaded, part) == getattr(self.subject, part)
        assert loaded.features == self.subject.features
        # A late value alone writes no row, so its commit time is not in the state.
        self.model.last_commit = loaded.update_time
        self.subject = loaded


TestAStoredAggregateIsAsAPlainModelSays = StoredAggregateMachine.TestCase
TestAStoredAggregateIsAsAPlainModelSays.settings = settings(max_examples=50, stateful_step_count=20)


def test_the_stored_form_is_the_contracts_message_without_its_etag() -> None:
    subject = new_aggregate(KEY, UID, 1)
    subject.apply(update(put("f", 1)), NOW)
    subject.apply(update(put("f", 2, NOW)), NOW + 5_000)
    message = aggregate_pb2.FeatureAggregate.FromString(dump_aggregate(subject))
    assert (message.key.entity_type, message.key.entity_id) == KEY
    assert (message.uid, message.version, message.etag) == (str(UID), 2, "")
    assert message.create_time.ToNanoseconds() == NOW
    assert message.update_time.ToNanoseconds() == NOW + 5_000
    assert message.features["f"].value.int64_value == 2
    assert message.features["f"].event_time.ToNanoseconds() == NOW
    assert message.features["f"].version == 2


@given(st.dictionaries(FEW_NAMES, ANY_FEATURE, min_size=1))
def test_asking_for_what_is_not_there_does_not_make_it(features: dict[str, Feature]) -> None:
    view = StoredFeatures(stored_pb2.StoredAggregate())
    view.update(features)
    assert view.get("zz") is None
    assert "zz" not in view
    with pytest.raises(KeyError):
        view["zz"]
    assert set(view) == set(features)


def test_what_was_loaded_counts_against_the_limit_with_its_size() -> None:
    subject = new_aggregate(KEY, UID, 1)
    subject.apply(update(put("f", "x" * 900)), NOW)
    state = dump_aggregate(subject)
    loaded = load_aggregate(KEY, UID, 1, state, Limits(state_bytes=len(state) + 10))
    with pytest.raises(Exception, match="bytes in an aggregate"):
        loaded.apply(update(put("g", 1)), NOW)
    loaded.apply(update(remove("f"), put("g", 1)), NOW)


@pytest.mark.parametrize(
    "junk", [b"\xff", b"\x0a\x05ab", dump_aggregate(new_aggregate(KEY, UID, 1))[:-1]]
)
def test_a_state_that_cannot_be_read_is_corrupted(junk: bytes) -> None:
    with pytest.raises(Corrupted, match="c-1"):
        load_aggregate(KEY, UID, 1, junk)
