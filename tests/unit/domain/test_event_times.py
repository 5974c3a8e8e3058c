"""Event times: the newest event wins, whatever the order of arrival."""

from collections.abc import Callable

import pytest

from domain.feature import Feature
from domain.update import FeatureUpdate
from domain.values import FeatureValue, ValueKind
from tests.kit.samples import (
    NOW,
    add,
    append,
    at_least,
    at_most,
    contents,
    put,
    remove,
    update,
    value,
    written,
)

NUMBERS = FeatureValue(ValueKind.INT64_LIST, (1, 2))


def test_a_late_value_never_replaces_a_newer_one() -> None:
    subject = written(put("f", "new", 20))
    change = subject.apply(update(put("f", "late", 10)), NOW + 1)
    assert change is not None
    assert dict(change.late_features) == {"f": Feature(value("late"), 10, 1)}
    assert dict(subject.features) == {"f": Feature(value("new"), 20, 1)}


def test_a_late_append_appends_nothing() -> None:
    subject = written(put("f", NUMBERS, 20))
    change = subject.apply(update(append("f", 3, event_time=10)), NOW + 1)
    assert change is not None
    assert set(change.late_features) == {"f"}
    assert contents(subject.features) == {"f": (1, 2)}


def test_a_late_removal_removes_nothing() -> None:
    subject = written(put("f", 1, 20))
    change = subject.apply(update(remove("f", 10)), NOW + 1)
    assert change is not None
    assert dict(change.late_features) == {"f": Feature(None, 10, 1)}
    assert contents(subject.features) == {"f": 1}


def test_late_values_alone_are_recorded_under_the_version_they_left() -> None:
    subject = written(put("f", 1, 20))
    change = subject.apply(update(put("f", 2, 10)), NOW + 1)
    assert change is not None
    assert not change.advances
    assert change.version == subject.version == 1
    assert change.commit_time > subject.update_time


def test_beside_a_late_value_the_others_still_count() -> None:
    subject = written(put("f", 1, 20), put("g", 1, 20))
    change = subject.apply(update(put("f", 2, 10), put("g", 2, 30)), NOW + 1)
    assert change is not None
    assert change.advances
    assert set(change.features) == {"g"}
    assert set(change.late_features) == {"f"}
    assert contents(subject.features) == {"f": 1, "g": 2}


def test_a_value_of_the_same_event_time_is_not_late() -> None:
    subject = written(put("f", 1, 20))
    subject.apply(update(put("f", 2, 20)), NOW + 1)
    assert dict(subject.features) == {"f": Feature(value(2), 20, 2)}


@pytest.mark.parametrize(
    ("operation", "left"), [(add, 7), (at_least, 5), (at_most, 2)], ids=["add", "max", "min"]
)
@pytest.mark.parametrize("event_time", [10, 20, 30])
def test_what_commutes_is_never_late_and_its_event_time_is_the_maximum(
    operation: Callable[[str, int, int], FeatureUpdate], left: int, event_time: int
) -> None:
    for first, second in ((5, 2), (2, 5)):
        subject = written(put("f", first, 20))
        change = subject.apply(update(operation("f", second, event_time)), NOW + 1)
        assert change is None or not change.late_features
        assert subject.features["f"].value == value(left)
        assert subject.features["f"].event_time == max(20, event_time)


def test_without_an_event_time_the_commit_time_is_it() -> None:
    subject = written(put("f", 1), now=NOW)
    assert subject.features["f"].event_time == subject.update_time == NOW
    subject.apply(update(put("f", 2)), NOW)
    assert subject.features["f"].event_time == subject.update_time > NOW


def test_a_features_own_event_time_comes_before_the_requests() -> None:
    subject = written(put("own", 1, 30), put("default", 1), event_time=20)
    assert {name: feature.event_time for name, feature in subject.features.items()} == {
        "own": 30,
        "default": 20,
    }


def test_a_removed_feature_forgets_its_event_time() -> None:
    subject = written(put("f", 1, 20))
    subject.apply(update(remove("f", 30)), NOW + 1)
    subject.apply(update(put("f", 2, 10)), NOW + 2)
    assert dict(subject.features) == {"f": Feature(value(2), 10, 3)}


def test_an_event_time_in_the_future_of_the_commit_is_kept() -> None:
    subject = written(put("f", 1, NOW * 2))
    assert subject.features["f"].event_time == NOW * 2
    subject.apply(update(put("f", 2)), NOW + 1)
    assert contents(subject.features) == {"f": 1}
