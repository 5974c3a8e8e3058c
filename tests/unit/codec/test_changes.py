"""Changes in their stored form, and the past that is folded from them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant

from codec.change import dump_change
from codec.event_time_fold import fold_by_event_time
from codec.historical_state import fold
from codec.state import dump_aggregate, load_features, new_aggregate
from domain.aggregate import FeatureAggregate
from domain.change import Change
from domain.update import Deletion, FeatureUpdate
from domain.values import FeatureValue, ValueKind
from featom.v1.aggregate_pb2 import AggregateChange
from featom.v1.aggregate_pb2 import FeatureAggregate as Message
from tests.kit.samples import KEY, NOW, REQUEST_ID, UID, add, append, put, remove, update
from tests.unit.aggregate_machine import AggregateMachine


def recorded(*updates: tuple[FeatureUpdate, ...]) -> list[bytes]:
    """The changes that some updates make, each a second after the one before."""
    subject = new_aggregate(KEY, UID, 1)
    changes = []
    for number, items in enumerate(updates):
        change = subject.apply(update(*items), NOW + number * 10**9)
        if change is not None:
            changes.append(dump_change(change, subject.features))
    return changes


def _stored(change: Change, subject: FeatureAggregate) -> AggregateChange:
    return AggregateChange.FromString(dump_change(change, subject.features))


def features_at(changes: list[bytes], time: int) -> dict[str, FeatureValue]:
    past = fold_by_event_time(changes, time)
    features = load_features(past.state) if past else {}
    return {name: feature.value for name, feature in features.items() if feature.value}


def as_of(changes: list[bytes], time: int) -> dict[str, int]:
    return {name: value.content for name, value in features_at(changes, time).items()}


class HistoryMachine(AggregateMachine):
    """The changes of any sequence of updates, folded as they come."""

    def __init__(self) -> None:
        super().__init__()
        self.folded = b""

    def new_aggregate(self, last_commit: int) -> FeatureAggregate:
        self.folded = b""
        return new_aggregate(KEY, UID, 1, last_commit=last_commit)

    def recorded(self, change: Change) -> None:
        self.folded = fold(self.folded, [dump_change(change, self.subject.features)]).state

    @invariant()
    def the_changes_add_up_to_the_state(self) -> None:
        if self.subject.exists:
            folded, state = map(Message.FromString, (self.folded, dump_aggregate(self.subject)))
            assert folded == state


TestTheChangesAddUpToTheStateOfEveryVersion = HistoryMachine.TestCase
TestTheChangesAddUpToTheStateOfEveryVersion.settings = settings(
    max_examples=50, stateful_step_count=20
)


def test_a_stored_change_says_everything_that_the_change_says() -> None:
    subject = new_aggregate(KEY, UID, 1)
    first = (put("f", 1, 10), put("g", 1, 10), put("h", 1, 20), append("l", 1, event_time=20))
    subject.apply(update(*first), NOW)
    second = (put("f", 2, 20), remove("g", 30), put("h", 2, 10), append("l", 2, event_time=10))
    asked = update(*second, request_id=REQUEST_ID, actor="me")
    change = subject.apply(asked, NOW + 1_000)
    assert change is not None
    stored = _stored(change, subject)
    assert (stored.key.entity_type, stored.key.entity_id) == KEY
    assert (stored.uid, stored.version, stored.deleted) == (str(UID), 2, False)
    assert stored.commit_time.ToNanoseconds() == NOW + 1_000
    assert (stored.request_id, stored.actor) == (str(REQUEST_ID), "me")
    assert stored.features["f"].value.int64_value == 2
    assert list(stored.removed) == ["g"]
    assert stored.late_features["h"].value.int64_value == 2
    assert stored.late_features["h"].event_time.ToNanoseconds() == 10
    assert (set(stored.features), set(stored.late_features)) == ({"f"}, {"h", "l"})
    assert list(stored.late_appends) == ["l"]
    assert stored.has_operands
    assert stored.operands["g"].remove
    assert stored.operands["g"].event_time.ToNanoseconds() == 30
    assert stored.operands["l"].append.max_length == 0
    assert set(stored.operands) == {"g", "l"}


def test_a_change_without_a_request_id_or_an_actor_has_none() -> None:
    stored = AggregateChange.FromString(*recorded((put("f", 1),)))
    assert (stored.request_id, stored.actor) == ("", "")


def test_a_stored_deletion_holds_no_values() -> None:
    subject = new_aggregate(KEY, UID, 1)
    subject.apply(update(put("f", 1)), NOW)
    stored = _stored(subject.delete(Deletion(key=KEY), NOW), subject)
    assert (stored.deleted, stored.version) == (True, 2)
    assert not stored.features


def test_a_history_with_a_hole_is_refused() -> None:
    changes = recorded((add("f", 1),), (add("f", 1),), (add("f", 1),))
    with pytest.raises(ValueError, match="version 2 is missing"):
        fold(b"", [changes[0], changes[2]])
    with pytest.raises(ValueError, match="version 1 is missing"):
        fold(b"", changes[1:])


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(), st.integers(0, 5)), max_size=10),
    st.integers(-1, 6),
)
def test_the_past_by_event_time_is_the_same_as_if_all_had_come_in_time(
    arrivals: list[tuple[str, int, int]], time: int
) -> None:
    arrivals = [(name, number % 2**63, event_time) for name, number, event_time in arrivals]
    in_time = sorted(arrivals, key=lambda arrival: arrival[2])
    expected = {name: number for name, number, event_time in in_time if event_time <= time}
    changes = recorded(*((put(*arrival),) for arrival in arrivals))
    assert as_of(changes, time) == expected


@pytest.mark.parametrize("event_time", [20, None])
def test_a_removal_counts_from_its_event_time(event_time: int | None) -> None:
    changes = recorded((put("f", 1, 10), put("g", 1, 10)), (remove("f", event_time),))
    removed = event_time or AggregateChange.FromString(changes[1]).commit_time.ToNanoseconds()
    assert as_of(changes, removed - 1) == {"f": 1, "g": 1}
    assert as_of(changes, removed) == {"g": 1}


def test_a_removal_that_came_late_counts_until_the_next_value() -> None:
    changes = recorded((put("f", 1, 10),), (put("f", 2, 30),), (remove("f", 20),))
    assert [as_of(changes, time) for time in (19, 20, 30)] == [{"f": 1}, {}, {"f": 2}]


def test_before_the_first_event_there_was_nothing() -> None:
    assert as_of(recorded((put("f", 1, 10),)), 9) == {}


@pytest.mark.parametrize("late", [3, FeatureValue(ValueKind.INT64_LIST, (3, 4))])
def test_what_came_too_late_to_be_appended_is_in_the_list_of_its_time(
    late: int | FeatureValue,
) -> None:
    changes = recorded(
        (append("f", 1, event_time=10),),
        (append("f", 2, event_time=20),),
        (append("f", late, event_time=15),),
    )
    lists = [features_at(changes, time)["f"].content for time in (10, 15, 20)]
    came = (late,) if isinstance(late, int) else late.content
    assert lists == [(1,), (1, *came), (1, *came, 2)]


def test_a_list_that_was_set_late_is_the_list_of_its_time() -> None:
    late = FeatureValue(ValueKind.INT64_LIST, (3, 4))
    changes = recorded(
        (append("f", 1, event_time=10),),
        (append("f", 2, event_time=20),),
        (put("f", late, event_time=15),),
    )
    lists = [features_at(changes, time)["f"].content for time in (10, 15, 20)]
    assert lists == [(1,), (3, 4), (3, 4, 2)]
