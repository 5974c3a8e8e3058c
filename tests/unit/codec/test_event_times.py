"""As of an event time, an aggregate is as if all operations had come in the order of events."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from codec.change import dump_change
from codec.event_time_fold import FoldByEventTime, fold_by_event_time
from codec.state import load_features, new_aggregate
from domain.operations import Append, Increment, Maximum, Minimum, Remove, SetValue
from domain.policy import Policy
from domain.update import FeatureUpdate
from domain.values import FeatureValue, ValueKind
from featom.stored.v1.stored_pb2 import StoredChange
from tests.kit.samples import (
    KEY,
    NOW,
    UID,
    add,
    append,
    at_least,
    at_most,
    contents,
    put,
    remove,
    update,
)

SECOND = 10**9
TIMES = range(-1, 10)


def arrival(names: Sequence[str]) -> st.SearchStrategy[FeatureUpdate]:
    number = st.integers(1, 9)
    time = st.integers(0, 8)
    counters = st.sampled_from([name for name in names if name != "list"] or ["none"])
    change = st.sampled_from([add, add, add, put, at_least, at_most])
    numbers = st.builds(lambda name, do, n, at: do(name, n, at), counters, change, number, time)
    lists = st.builds(
        lambda name, n, most, at: append(name, n, most, at),
        st.just("list"),
        number,
        st.integers(0, 3),
        time,
    )
    whole = st.builds(
        lambda elements, at: put("list", FeatureValue(ValueKind.INT64_LIST, tuple(elements)), at),
        st.lists(number, max_size=3),
        time,
    )
    removals = st.builds(remove, st.sampled_from(names), time)
    sorts = (lists, lists, whole, removals)
    return st.one_of(*sorts) if names == ["list"] else st.one_of(numbers, numbers, *sorts)


def plain(log: Sequence[tuple[FeatureUpdate, int]], time: int) -> dict[str, Any]:
    """Without a line of the product: each in its turn by event time, then by arrival."""
    found: dict[str, Any] = {}
    for item, event_time in sorted(log, key=lambda entry: entry[1]):
        name, operation = item.name, item.operation
        if event_time > time:
            break
        content: Any = operation.value.content if operation and operation.value else None
        match operation:
            case SetValue():
                found[name] = content
            case Remove():
                found.pop(name, None)
            case Increment():
                found[name] = found.get(name, 0) + content
            case Maximum():
                found[name] = max(found.get(name, content), content)
            case Minimum():
                found[name] = min(found.get(name, content), content)
            case Append(_, most):
                found[name] = (*found.get(name, ()), content)[-most:]
    return found


def applied(
    arrivals: Sequence[FeatureUpdate], policy: Policy | None = None
) -> tuple[list[bytes], list[tuple[FeatureUpdate, int]]]:
    """The stored changes, and what counts: not what is removed or set without any effect, nor what
    is there already."""
    subject = new_aggregate(KEY, UID, 1, policy=policy)
    changes = []
    log = []
    for number, item in enumerate(arrivals):
        now = NOW + number * SECOND
        before = subject.features.get(item.name)
        change = subject.apply(update(item), now)
        time = now if item.event_time is None else item.event_time
        if change is not None:
            changes.append(dump_change(change, subject.features))
        elif isinstance(item.operation, SetValue | Remove):
            continue
        else:
            assert before is not None
            assert item.operation is not None
            assert (before.value, before.event_time) == (item.operation.value, time)
            continue
        log.append((item, time))
    return changes, log


def as_of(changes: Sequence[bytes], time: int) -> Mapping[str, Any]:
    past = fold_by_event_time(changes, time)
    if past is None:
        return {}
    assert not past.inexact_features
    return contents(load_features(past.state))


@given(st.lists(arrival(["a", "b", "list"]), max_size=25))
@example([add("a", 5, 5), add("a", 5, 3), put("a", 1, 4)])  # a set between two increments
@example([add("a", 1, 5), at_least("a", 9, 3), put("a", 1, 2)])
@example([at_least("a", 7, 1), at_least("a", 3, 3), at_least("a", 5, 3), put("a", 1, 2)])
def test_it_is_the_same_as_if_all_had_come_in_their_order(
    arrivals: list[FeatureUpdate],
) -> None:
    changes, log = applied(arrivals)
    for time in TIMES:
        assert as_of(changes, time) == plain(log, time)


def test_operands_of_many_changes_take_no_more_memory_than_of_a_few() -> None:
    """Those of one sort are put together, and what lists have dropped is forgotten."""
    for count in (2_000, 20_000):
        fold = FoldByEventTime(NOW * 2)
        items = [(add("n", 1, k), append("list", k % 7, 5, k)) for k in range(1, count)]
        subject = new_aggregate(KEY, UID, 1)
        for number, pair in enumerate(items):
            change = subject.apply(update(*pair), NOW + number * SECOND)
            assert change is not None
            fold.add(dump_change(change, subject.features))
        assert fold.past is not None
        assert contents(load_features(fold.past.state)) == contents(subject.features)
        assert fold.size < 1_000_000


@given(st.lists(arrival(["list"]), min_size=3, max_size=40))
def test_what_lists_have_dropped_may_be_forgotten_at_any_time(
    arrivals: list[FeatureUpdate],
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("domain.event_order._MANY", 1)
        changes, log = applied(arrivals)
        for time in TIMES:
            assert as_of(changes, time) == plain(log, time)


def test_what_does_not_fit_in_the_order_of_events_is_left_out_and_named() -> None:
    changes, _ = applied(
        [
            add("kind", 1, 1),
            add("large", 2**62, 1),
            remove("kind", 5),
            add("kind", 0.5, 3),
            add("large", -(2**62), 4),
            add("large", 2**62, 2),
        ]
    )
    past = fold_by_event_time(changes, 4)
    assert past is not None
    assert contents(load_features(past.state)) == {"kind": 1, "large": 2**62}
    assert past.inexact_features == ["kind"]
    past = fold_by_event_time(changes, 3)
    assert past is not None
    assert past.inexact_features == ["kind", "large"]
    assert fold_by_event_time(changes, 1) is not None
    assert as_of(changes, 1) == {"kind": 1, "large": 2**62}


def without_operands(change: bytes) -> bytes:
    """As a server writes it that is older than they are."""
    message = StoredChange.FromString(change)
    message.ClearField("operands")
    message.ClearField("has_operands")
    return message.SerializeToString()


def test_histories_from_before_are_read_as_they_were_and_say_so() -> None:
    changes, _ = applied(
        [
            add("n", 1, 1),
            add("n", 1, 3),
            add("n", 1, 2),
            put("text", "gold", 1),
            append("list", 1, 0, 2),
            append("list", 2, 0, 1),
        ]
    )
    past = fold_by_event_time(map(without_operands, changes), 2)
    assert past is not None
    assert contents(load_features(past.state)) == {"n": 1, "text": "gold", "list": (1,)}
    assert past.inexact_features == ["list", "n"]
    assert as_of(changes, 2) == {"n": 2, "text": "gold", "list": (2, 1)}


def test_a_set_makes_known_again_what_was_made_before_operands_were_kept() -> None:
    """As servers of both builds write it during an upgrade."""
    changes, _ = applied([add("n", 1, 1), add("n", 1, 5), put("n", 7, 6), add("n", 1, 8)])
    mixed = [*map(without_operands, changes[:2]), *changes[2:]]
    expected: list[tuple[int, int, Sequence[str]]] = [
        (1, 1, ["n"]),
        (5, 2, ["n"]),
        (6, 7, []),
        (8, 8, []),
    ]
    for time, number, inexact in expected:
        past = fold_by_event_time(mixed, time)
        assert past is not None
        assert contents(load_features(past.state)) == {"n": number}
        assert past.inexact_features == inexact
    older_last = [*changes[:3], without_operands(changes[3])]
    past = fold_by_event_time(older_last, 7)
    assert past is not None
    assert past.inexact_features == ["n"]


def test_a_removal_from_before_operands_were_kept_counts_from_its_commit() -> None:
    changes, _ = applied([put("text", "gold", 1), remove("text", 5)])
    old = list(map(without_operands, changes))
    assert contents(load_features(past_state(old, NOW + SECOND - 1))) == {"text": "gold"}
    assert fold_by_event_time(old, NOW + SECOND) is None


def past_state(changes: Sequence[bytes], time: int) -> bytes:
    past = fold_by_event_time(changes, time)
    assert past is not None
    assert past.inexact_features == ["text"]
    return past.state
